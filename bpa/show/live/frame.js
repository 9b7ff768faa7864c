"use strict";
// Ties a live figure to the page around it: the page says whether it is dark and whether to keep still, the figure how high it is.

addEventListener("message", (event) => {
  if (event.source === parent && event.data && event.data.bpaTheme) {
    document.documentElement.dataset.theme = event.data.bpaTheme;
    document.documentElement.dataset.motion = event.data.bpaStill ? "less" : "any";
    dispatchEvent(new Event("themechange"));
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
