"use strict";
// What figures share in which the reader is the agent: words, and where the reader stands among others.

// Words for who sees the figure, and more for who does not, as one line that is read aloud.
function sayWords(line, words, unseen = "") {
  const more = document.createElement("span");
  more.className = "unseen";
  more.textContent = unseen;
  line.replaceChildren(words, more);
}

// A table of scores from the least to the most, a bar beside each.
// rows: [{ name, knows, reward, error, you }]; error, a standard error, only where the reward was measured. The
// longest bar is that of `most`, or of a reward above it.
function drawScale(body, rows, most = 0) {
  const sorted = [...rows].sort((one, other) => one.reward - other.reward);
  const low = Math.min(0, sorted[0].reward);
  const span = Math.max(most, sorted.at(-1).reward) - low || 1;
  body.replaceChildren(...sorted.map(({ name, knows, reward, error, you }) => {
    const row = document.createElement("tr");
    row.className = you ? "you" : "";
    const head = document.createElement("th");
    head.scope = "row";
    head.append(`${name} `);
    if (knows) {
      const words = document.createElement("span");
      words.className = "small";
      words.textContent = knows;
      head.append(words);
    }
    const [bar, number] = [document.createElement("td"), document.createElement("td")];
    bar.className = "bar";
    const filled = document.createElement("span");
    filled.style.marginLeft = `${(100 * (Math.min(0, reward) - low)) / span}%`;
    filled.style.width = `${(100 * Math.abs(reward)) / span}%`;
    bar.append(filled);
    number.textContent = error === undefined ? rewardWords(reward) : `${reward.toFixed(1)} ± ${error.toFixed(1)}`;
    row.append(head, bar, number);
    return row;
  }));
}

// A reward in two places at most, with a proper minus, and with a plus if it is to have a sign.
function rewardWords(reward, signed = false) {
  const rounded = Number(reward.toFixed(2));
  return `${signed && rounded > 0 ? "+" : ""}${Math.abs(rounded) === 0 ? 0 : rounded}`.replace("-", "−");
}
