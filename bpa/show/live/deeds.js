"use strict";
// What the reader did to an agent: in words, as a tally of its own, and done again in other episodes. Goes with
// agent.js, which calls it.

const GIFT_WORDS = { h: "the activity", hebb: "the traces", donor: "an agent with another goal", twin: "the agent left alone" };
const DEED_WORDS = {
  traces: (act) => (act ? "traces act again" : "traces silenced"),
  frozen: (frozen) => (frozen ? "traces frozen" : "traces change again"),
  forced: (value) => (value === null ? "M(t) its own again" : `M(t) always ${value}`),
  wipe: (what) => `${what === "h" ? "activity" : "traces"} wiped`,
  goal: (index) => `goal put at ${cellWords(maze.freeCells[index])}`,
  agent: (index) => `agent put at ${cellWords(maze.freeCells[index])}`,
  give: (gift) => `given ${gift.split(" ").map((part) => GIFT_WORDS[part]).join(" of ")}`,
};

// "step 60: traces frozen, activity wiped; step 90: M(t) always 1".
function deedWords(deeds) {
  const bySteps = new Map();
  for (const [step, name, value] of deeds) bySteps.set(step, [...(bySteps.get(step) ?? []), DEED_WORDS[name](value)]);
  return [...bySteps].map(([step, words]) => `step ${step}: ${words.join(", ")}`).join("; ");
}

// What was done in this episode, and how many rewards came before the first of it and since.
function doneWords() {
  const { deeds, felt } = lab;
  if (!felt.length) return deeds.length ? "nothing that acts on this network" : "nothing";
  const since = felt[0][0];
  const early = subject.rewardSteps.filter((step) => step <= since);
  const steps = lab.time - since;
  const first = since === 0 ? "" : `; ${rewardCount(early)} until then`;
  const then = steps === 0 ? "" : `${first ? "," : ";"} ${subject.rewardSteps.length - early.length} in the ${counted(steps, "step")} since`;
  return deedWords(felt) + first + then;
}

let operation = null; // the last list of deeds that was more than silenced traces

// Rewards of the whole episodes of a network in which just this was done to it.
function operatedRewards({ tally, ...entry }) {
  if (operation === null) return [];
  const felt = operation.filter(([, name, value]) => feels(partsOf(entry), name, value));
  const end = `,${JSON.stringify(felt)}]`;
  return [...tally.operated].filter(([key]) => key.endsWith(end)).map(([, reward]) => reward);
}

function operatedWords(entry) {
  const rewards = operatedRewards(entry);
  return rewards.length ? `${summary(rewards)} (${deedWords(operation)})` : summary(rewards);
}

const repeatWords = () => `The same in ${EPISODES} episodes${networks.all.length > 1 ? " of each" : ""}`;

function drawDeeds() {
  if (kindOf(lab.deeds) === "operated") operation = lab.deeds;
  element("done").textContent = doneWords();
  element("operated").textContent = operatedWords(networks.now);
  element("repeat").disabled = !lab.deeds.length && each === null;
}
