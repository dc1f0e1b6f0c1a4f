// The page without a build step: a form, and a card with a progress bar for each task.
const form = document.querySelector("#start");
const list = document.querySelector("#tasks");
const errorLine = document.querySelector("#error");
const empty = document.querySelector("#empty");
const template = document.querySelector("#task");

const POLL_MS = 500;
const READY = new Set(["SUCCESS", "FAILURE", "REVOKED"]);

/** The fields that a task takes; the others are hidden and not sent. */
function showFields() {
  for (const label of form.querySelectorAll("[data-for]")) {
    const wanted = label.dataset.for.split(" ").includes(form.elements.task.value);
    label.hidden = !wanted;
    label.querySelector("input").disabled = !wanted;
  }
}

async function ask(url, options) {
  const response = await fetch(url, options);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

function showError(error) {
  errorLine.textContent = error?.message ?? "";
  errorLine.hidden = error === null;
}

function addCard(taskId, name) {
  const card = template.content.cloneNode(true).querySelector("li");
  card.querySelector(".name").textContent = name;
  card.querySelector(".id").textContent = taskId;
  card.querySelector(".revoke").addEventListener("click", () => {
    ask(`/tasks/revoke/${taskId}/`, { method: "POST" }).then(() => showError(null), showError);
  });
  list.prepend(card);
  empty.hidden = true;
  follow(taskId, card);
}

async function follow(taskId, card) {
  for (;;) {
    try {
      const status = await ask(`/tasks/status/${taskId}/`);
      show(status, card);
      if (status.ready) return;
    } catch {
      // The server is away for a moment: the next look tells.
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function show({ state, ready, info, result, error }, card) {
  card.dataset.state = state;
  card.querySelector(".state").textContent = state;
  card.querySelector(".revoke").hidden = ready;
  const bar = card.querySelector("progress");
  if (state === "PROGRESS") bar.value = info.current / info.total;
  else if (state === "SUCCESS") bar.value = 1;
  const text = card.querySelector(".result");
  if (READY.has(state)) text.textContent = error ?? inWords(result);
  else if (state === "PROGRESS") text.textContent = `${info.current} of ${info.total} s`;
  else text.textContent = state === "PENDING" ? "waits for its time, or for a worker" : "";
}

function inWords(result) {
  if (result === null) return "done";
  return typeof result === "string" ? result : JSON.stringify(result);
}

form.elements.task.addEventListener("change", showFields);
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const fields = new FormData(form);
  const task = fields.get("task");
  fields.delete("task");
  try {
    const { task_id: taskId } = await ask(`/tasks/${task}/?${new URLSearchParams(fields)}`);
    showError(null);
    addCard(taskId, form.elements.task.selectedOptions[0].dataset.task);
  } catch (error) {
    showError(error);
  }
});

showFields();
// What was started before this page was loaded, the newest on top.
try {
  const { tasks } = await ask("/tasks/list/");
  for (const { task_id: taskId, task } of tasks.slice(0, 20).reverse()) addCard(taskId, task);
} catch (error) {
  showError(error);
}
