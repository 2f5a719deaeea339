import { toHex } from "../../shared/signing/bytes.ts";
import { systemIdSource } from "../../shared/contracts/ids.ts";
import { uuidv7 } from "../../shared/contracts/uuidv7.ts";

const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

const random = (bytes: number): string => toHex(systemIdSource.randomBytes(bytes));

/** The client's own request id when it is plain ASCII of at most 64 characters, else a new one. */
export function requestIdOf(request: Request): string {
  const given = request.headers.get("x-request-id");
  if (given !== null && /^[\w.:/+=@-]{1,64}$/.test(given)) return given;
  return `req_${uuidv7(systemIdSource.now(), systemIdSource.randomBytes(10))}`;
}

/** W3C trace context for what this request causes: the client's trace goes on under a new span, or a new one begins. */
export function continueTrace(request: Request): string {
  const given = TRACEPARENT.exec(request.headers.get("traceparent") ?? "");
  const valid = given && !/^0+$/.test(given[1]!) && !/^0+$/.test(given[2]!);
  return valid ? `00-${given[1]}-${random(8)}-${given[3]}` : `00-${random(16)}-${random(8)}-01`;
}
