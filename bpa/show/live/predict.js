(() => {
  // Runs once for every question on a page: the first choice is locked in, and counted over the page.
  const box = document.currentScript.parentElement;
  const buttons = [...box.querySelectorAll("button")];
  const right = Number(box.dataset.right);
  for (const button of buttons) {
    button.addEventListener("click", () => {
      if (box.dataset.done) return;
      const fits = Number(button.dataset.place) === right;
      box.dataset.done = fits ? "right" : "wrong";
      button.dataset.chosen = "";
      buttons.forEach((other, place) => {
        other.disabled = true;
        if (place === right) other.insertAdjacentText("beforeend", " ✓");
        else if (other === button) other.insertAdjacentText("beforeend", " ✗");
      });
      const made = document.querySelectorAll(".bpa-predict[data-done]").length;
      const good = document.querySelectorAll('.bpa-predict[data-done="right"]').length;
      const said = fits ? "Right." : `Not so: it is ${buttons[right].querySelector("b").textContent}.`;
      box.querySelector(".bpa-verdict").textContent = `${said} On this page: ${good} of ${made}.`;
      box.querySelector(".bpa-why").hidden = false;
    });
  }
})();
