import { PullError, Trouble } from "./pull-error.ts";

const MOST_REDIRECTS = 8;
const REDIRECTS = [301, 302, 303, 307, 308];

/** Codes of a connection that never came about. */
const UNREACHABLE = [
  "ENOTFOUND",
  "EAI_AGAIN",
  "ECONNREFUSED",
  "ENETUNREACH",
  "EHOSTUNREACH",
  "ETIMEDOUT",
  "UND_ERR_CONNECT_TIMEOUT",
];

/**
 * GETs over https and follows redirects to https alone. Plain http is for servers on this machine (a test, a tunnel), which
 * no server elsewhere may point to. Credentials go to the first origin and not with a redirect to another.
 *
 * @throws {PullError} the way led to an address that is not asked
 * @throws {Trouble} no answer
 */
export async function request(
  start: URL,
  {
    headers,
    token,
    signal,
  }: { headers: Record<string, string>; token?: string | undefined; signal: AbortSignal },
): Promise<Response> {
  let url = start;
  for (let hop = 0; hop <= MOST_REDIRECTS; hop++) {
    assertSafe(url, start);
    const sent = new Headers(headers);
    if (token !== undefined && url.origin === start.origin) {
      sent.set("authorization", `Bearer ${token}`);
    }
    let response: Response;
    try {
      response = await fetch(url, { headers: sent, redirect: "manual", signal });
    } catch (error) {
      throw signal.aborted ? error : toTrouble(error, url);
    }
    if (!REDIRECTS.includes(response.status)) return response;
    await response.body?.cancel();
    const location = response.headers.get("location");
    if (location === null || !URL.canParse(location, url.href)) {
      throw new PullError(`${url.host} redirects to nowhere.`);
    }
    url = new URL(location, url);
  }
  throw new PullError(`${start.host} redirects more than ${MOST_REDIRECTS} times.`);
}

/** What broke, without the query of the address: it may carry a signature. */
export function toTrouble(error: unknown, { host }: URL): Trouble {
  const { cause } = error as { cause?: { code?: string; message?: string } };
  const code = cause?.code;
  const why = code ?? cause?.message ?? (error as Error).message;
  if (code !== undefined && /CERT|SELF_SIGNED|UNABLE_TO|ALTNAME|ERR_TLS|ERR_SSL/.test(code)) {
    throw new PullError(`${host} cannot be trusted: ${code}.`);
  }
  return code !== undefined && UNREACHABLE.includes(code)
    ? new Trouble(`cannot reach ${host} (${code})`, { unreachable: true })
    : new Trouble(`the connection to ${host} broke (${why})`);
}

function assertSafe(url: URL, start: URL): void {
  if (url.username !== "" || url.password !== "") {
    throw new PullError(`An address at ${url.host} carries credentials; they belong in HF_TOKEN.`);
  }
  if (url.protocol === "https:" && (!isLoopback(url) || isLoopback(start))) return;
  if (url.protocol === "http:" && isLoopback(url) && isLoopback(start)) return;
  throw new PullError(
    url === start
      ? `${url.protocol}//${url.host} is not asked: only https is, and plain http on this machine.`
      : `${start.host} redirects to ${url.protocol}//${url.host}: only https is followed.`,
  );
}

function isLoopback({ hostname }: URL): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127(\.\d+){3}$/.test(hostname);
}
