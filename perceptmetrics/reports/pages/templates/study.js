"use strict";
(() => {
  const study = JSON.parse(document.getElementById("study").textContent);
  const storageKey = "perceptmetrics-study-" + study.identity;
  const find = (id) => document.getElementById(id);
  const fresh = () => ({ participant: "", started: false, answers: {} });
  let state = fresh();
  let index = 0;
  let shownAt = 0;

  function load() {
    try {
      const stored = JSON.parse(localStorage.getItem(storageKey));
      if (stored && typeof stored.answers === "object") state = Object.assign(fresh(), stored);
    } catch (error) {
      find("trouble").textContent = "This browser does not keep your progress: save the file before you close the page.";
    }
  }

  function keep() {
    try {
      localStorage.setItem(storageKey, JSON.stringify(state));
    } catch (error) {
      find("trouble").textContent = "This browser does not keep your progress: save the file before you close the page.";
    }
  }

  const answered = () => study.pairs.filter((pair) => state.answers[pair.pair]).length;

  function show() {
    const finished = index >= study.pairs.length;
    find("start").hidden = state.started;
    find("choose").hidden = !state.started || finished;
    find("end").hidden = !state.started || !finished;
    find("saving").hidden = !state.started;
    find("save").classList.toggle("primary", finished);
    find("back").disabled = index === 0;
    if (!state.started) return;
    if (finished) {
      find("end-heading").focus();
      return;
    }
    const pair = study.pairs[index];
    const earlier = state.answers[pair.pair];
    for (const side of ["left", "right"]) {
      find(side + "-image").src = study.images[pair[side]];
    }
    for (const choice of ["left", "right", "same"]) {
      find(choice).setAttribute("aria-pressed", String(Boolean(earlier) && earlier.choice === choice));
    }
    find("progress").textContent = `Pair ${index + 1} of ${study.pairs.length}, ${answered()} answered`;
    find("done").style.width = `${(100 * answered()) / study.pairs.length}%`;
    shownAt = performance.now();
  }

  function choose(choice) {
    if (!state.started || index >= study.pairs.length) return;
    const seconds = Math.round((performance.now() - shownAt) / 100) / 10;
    state.answers[study.pairs[index].pair] = { choice, seconds };
    index += 1;
    keep();
    show();
  }

  function back() {
    if (!state.started || index === 0) return;
    index -= 1;
    show();
  }

  function begin() {
    const random = Math.random().toString(36).slice(2, 8);
    state.participant = find("participant").value.trim() || "anonymous-" + random;
    state.started = true;
    keep();
    show();
  }

  function table() {
    // Spreadsheets compute a cell that begins like a formula; see perceptmetrics._util.csv_cells.
    const needsMark = (text) => /^'*[=+\-@\uff1d\uff0b\uff0d\uff20]|^'.*\\/.test(text);
    const marked = (text) => (needsMark(text) ? "'" + text.replaceAll("\\", "\\\\") : text);
    const quote = (text) => '"' + marked(String(text)).replaceAll('"', '""') + '"';
    const rows = study.pairs
      .filter((pair) => state.answers[pair.pair])
      .map((pair) => {
        const answer = state.answers[pair.pair];
        return [study.identity, quote(state.participant), pair.pair, answer.choice, answer.seconds].join(",");
      });
    return ["study,participant,pair,choice,seconds", ...rows].join("\n") + "\n";
  }

  function save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([table()], { type: "text/csv" }));
    link.download = `choices-${study.identity}-${state.participant.replace(/[^\w-]+/g, "_")}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function startOver() {
    if (!confirm("Delete the choices made on this page and start over?")) return;
    state = fresh();
    index = 0;
    keep();
    show();
  }

  const keys = {
    ArrowLeft: () => choose("left"),
    ArrowRight: () => choose("right"),
    ArrowDown: () => choose("same"),
    Backspace: back,
  };
  document.addEventListener("keydown", (event) => {
    if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.target.tagName === "INPUT") return;
    if (!state.started || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
  find("participant").addEventListener("keydown", (event) => {
    if (event.key === "Enter") begin();
  });
  find("begin").addEventListener("click", begin);
  find("left").addEventListener("click", () => choose("left"));
  find("right").addEventListener("click", () => choose("right"));
  find("same").addEventListener("click", () => choose("same"));
  find("back").addEventListener("click", back);
  find("save").addEventListener("click", save);
  find("again").addEventListener("click", startOver);

  load();
  const next = study.pairs.findIndex((pair) => !state.answers[pair.pair]);
  index = next === -1 ? study.pairs.length : next;
  show();
})();
