"use strict";
// Ties a live figure to the page around it: the page says whether it is dark, whether to
// keep still and what a link asks for, the figure how high it is.

addEventListener("message", (event) => {
  if (event.source === parent && event.data && event.data.bpaTheme) {
    document.documentElement.dataset.theme = event.data.bpaTheme;
    document.documentElement.dataset.motion = event.data.bpaStill ? "less" : "any";
    dispatchEvent(new Event("themechange"));
  }
  if (event.source === parent && event.data && event.data.bpaSettings) {
    dispatchEvent(new CustomEvent("settings", { detail: event.data.bpaSettings }));
  }
});

function reportHeight() {
  parent.postMessage({ bpaHeight: Math.ceil(document.getElementById("figure").getBoundingClientRect().height) + 16 }, "*");
}

addEventListener("load", () => {
  new ResizeObserver(reportHeight).observe(document.getElementById("figure"));
  parent.postMessage({ bpaReady: true }, "*");
  reportHeight();
});

// Pictures come in pairs, the light ones first.
function themeNumber() {
  return document.documentElement.dataset.theme === "dark" ? 1 : 0;
}

function fit(picture, size) {
  picture.width = size.width;
  picture.height = size.height;
  picture.style.minWidth = Math.min(size.width, size.least) + "px"; // below this it scrolls: letters do not vanish
}

// What scrolls fades at the edge behind which there is more.
addEventListener("load", () => {
  for (const box of document.querySelectorAll(".scroll")) {
    const tell = () => {
      box.classList.toggle("before", box.scrollLeft > 1);
      box.classList.toggle("after", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
    };
    box.addEventListener("scroll", tell);
    new ResizeObserver(tell).observe(box);
    for (const held of box.children) new ResizeObserver(tell).observe(held);
  }
});
