// Asking the server, and its refusals in plain words.

export class Trouble extends Error {
  constructor(words, kind = "") { super(words); this.kind = kind }  // kind: "token" and "gone" can be mended and asked again
}

let token = sessionStorage.getItem("token") ?? "";

export function useToken(text) {
  token = text;
  sessionStorage.setItem("token", text);
}

async function fetched(path, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble("The server does not answer. Is it still running, and are you connected?", "gone");
  }
  if (answer.ok) return answer;
  const said = await answer.json().then(found => found.error, () => "");
  if (answer.status === 401) {
    const words = token ? "The server does not take this token." : "This server asks for a token.";
    throw new Trouble(words, "token");
  }
  if (answer.status === 404) throw new Trouble(said || "The server does not have this.", "missing");
  if (answer.status === 429 || answer.status === 503) throw new Trouble("The server is busy. Wait a moment, then try again.", "gone");
  if (answer.status === 504) throw new Trouble("The server took too long. Wait a moment, then try again.", "gone");
  throw new Trouble(`The server cannot answer this: ${said || answer.status}`);
}

export const told = async (path, signal) => (await fetched(path, { signal })).json();

export const photoOf = async (model, id, signal) =>
  (await fetched(`${model}/items/${encodeURIComponent(id)}/photo`, { signal })).blob();

// One Predict in column form. Answers an object by output name, also where there is one output alone.
export async function predict(model, signature_name, inputs, signal, output_filter = []) {
  const body = JSON.stringify({ signature_name, inputs, output_filter });
  const answer = await fetched(`${model}:predict`, { method: "POST", body, signal });
  return (await answer.json()).outputs;
}
