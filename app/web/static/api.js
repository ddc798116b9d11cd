// Requests to the worker's API.

const PREFIX = "/api/v1/";
const PATIENCE_MS = 10_000;
export const MOST_ROWS = Number(document.getElementById("main").dataset.rows); // bars in one answer, as the worker says

export class ApiError extends Error {}

// browsers take the segments . and .. out of a path: these two names have a | in front, which no name holds
const segment = (name) => encodeURIComponent(name === "." || name === ".." ? `|${name}` : name);
export const ofSymbol = (broker, symbol) => `${segment(broker)}/${segment(symbol)}`;
export const barsPath = (broker, symbol) => `bars/${ofSymbol(broker, symbol)}`;
export const whyPath = (broker, symbol, start) => `why/${ofSymbol(broker, symbol)}/${start}`;

// parameters without a value are left out
export function apiUrl(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = new URLSearchParams(given);
  return `${PREFIX}${path}${query.size ? `?${query}` : ""}`;
}

// the answer, or the API's own words as an error
export async function ask(url, accept = "application/json") {
  let response;
  try {
    response = await fetch(url, { headers: { Accept: accept }, signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch {
    throw new ApiError("the worker does not answer");
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => null);
  throw new ApiError(problem?.detail || `${response.status} ${response.statusText}`);
}

// for what reads the body of an answer
export function cutOff() {
  throw new ApiError("the worker's answer is cut off");
}

export async function get(path, parameters) {
  const response = await ask(apiUrl(path, parameters));
  return response.json().catch(cutOff);
}
