(() => {
  // Runs in the page, once: gives each live figure on it the height it asks for, the page's theme and its reader's
  // wish for less motion. #NAME:SETTINGS, in a link or behind the page's address, drives the figure of that name,
  // which may ask the page to write such a one into its address.
  if (window.bpaLive) return;
  window.bpaLive = true;
  const frames = () => document.querySelectorAll("iframe.bpa-live");
  const theme = () => {
    const sphinx = document.documentElement.dataset.theme;
    const lab = document.body.dataset.jpThemeLight;
    if (sphinx) return sphinx;
    if (lab) return lab === "true" ? "light" : "dark";
    return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  };
  const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
  const tell = (frame) =>
    frame.contentWindow && frame.contentWindow.postMessage({ bpaTheme: theme(), bpaStill: still() }, "*");
  const book = () => document.body.dataset.jpThemeLight === undefined; // a notebook's address is its own
  const follow = (hash) => {
    const [, name, settings] = /^#([a-z]+):(.+)$/.exec(hash) || [];
    const frame = [...frames()].find((each) => name && each.dataset.name === name);
    if (!frame || !frame.contentWindow) return;
    frame.contentWindow.postMessage({ bpaSettings: settings }, "*");
    frame.scrollIntoView({ behavior: still() ? "auto" : "smooth", block: "start" });
    frame.focus({ preventScroll: true });
  };
  let clicked = null; // the hash of a link that was followed at once; the address may change to it only then
  addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest('a[href^="#"]');
    if (!link) return;
    clicked = link.hash;
    follow(clicked);
  });
  addEventListener("hashchange", () => {
    if (location.hash !== clicked) follow(location.hash);
    clicked = null;
  });
  // A learner hands a network to the laboratory of the page, which says "" or why it does not take it.
  let giver = null;
  const answer = (words) => giver && giver.contentWindow && giver.contentWindow.postMessage({ bpaArrived: words }, "*");
  const handOver = (frame, network) => {
    giver = frame;
    const lab = [...frames()].find((each) => each.dataset.name === "laboratory");
    if (lab && lab.contentWindow) lab.contentWindow.postMessage({ bpaNetwork: network }, "*");
    else answer("there is none on this page");
  };
  const arrived = (frame, words) => {
    if (words === "") {
      frame.scrollIntoView({ behavior: still() ? "auto" : "smooth", block: "start" });
      frame.focus({ preventScroll: true });
    }
    answer(words);
    giver = null;
  };
  addEventListener("message", (event) => {
    for (const frame of frames()) {
      if (frame.contentWindow !== event.source || !event.data) continue;
      if (event.data.bpaReady) {
        tell(frame);
        if (location.hash.startsWith(`#${frame.dataset.name}:`)) follow(location.hash);
      }
      const link = event.data.bpaLink;
      if (typeof link === "string" && /^[\w-]{1,4000}$/.test(link) && book()) {
        history.replaceState(null, "", `#${frame.dataset.name}:${link}`);
        frame.contentWindow.postMessage({ bpaAddress: location.href }, "*");
      }
      if (event.data.bpaNetwork) handOver(frame, event.data.bpaNetwork);
      if (typeof event.data.bpaArrived === "string" && frame.dataset.name === "laboratory") arrived(frame, event.data.bpaArrived);
      if (Number.isFinite(event.data.bpaHeight)) frame.style.height = Math.min(event.data.bpaHeight, 4000) + "px";
    }
  });
  const watch = new MutationObserver(() => frames().forEach(tell));
  watch.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  watch.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
})();
