import { createHmac, timingSafeEqual } from "node:crypto";
import { hashCanonicalRequest } from "./canonical-request.ts";
import type { S3Request } from "./parse-request.ts";
import { S3Error } from "./s3-error.ts";

const ALGORITHM = "AWS4-HMAC-SHA256";
const MAX_SKEW_MS = 15 * 60_000;
const MAX_EXPIRES_S = 7 * 24 * 3600;

interface SignatureVerifierOptions {
  region: string;
  /** Secret access key by access key id. */
  credentials: ReadonlyMap<string, string>;
  /** Milliseconds since 1970. */
  now: () => number;
}

/** Who signed, and what was said of the body: UNSIGNED-PAYLOAD, STREAMING-…, or its SHA-256 in hex. */
interface Identity {
  accessKeyId: string;
  payloadHash: string;
}

interface Claim {
  accessKeyId: string;
  date: string;
  signedHeaders: string[];
  signature: string;
  timestamp: string;
  payloadHash: string;
}

/** Returns a function that checks a request's SigV4 signature and throws an S3Error when it does not hold. */
export function createSignatureVerifier({ region, credentials, now }: SignatureVerifierOptions) {
  return function verifySignature(request: S3Request): Identity {
    const claim = request.presigned ? readQuery(request) : readHeader(request);
    const secret = credentials.get(claim.accessKeyId);
    if (secret === undefined) {
      throw new S3Error(
        "InvalidAccessKeyId",
        "The AWS Access Key Id you provided does not exist in our records.",
      );
    }
    checkSignedHeaders(request, claim);
    const query = [...request.query].filter(([name]) => name !== "X-Amz-Signature");
    const toSign = [
      ALGORITHM,
      claim.timestamp,
      `${claim.date}/${region}/s3/aws4_request`,
      hashCanonicalRequest({
        method: request.method,
        path: request.path,
        query,
        signedHeaders: claim.signedHeaders,
        headerValue: (name) => request.header(name) ?? "",
        payloadHash: claim.payloadHash,
      }),
    ].join("\n");
    const expected = hmac(signingKey(secret, claim.date, region), toSign);
    // Times are judged after the signature, so that nobody learns of a key by guessing dates.
    if (!timingSafeEqual(expected, Buffer.from(claim.signature, "hex"))) {
      throw new S3Error(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided.",
      );
    }
    checkTime(request, claim.timestamp, now());
    return { accessKeyId: claim.accessKeyId, payloadHash: claim.payloadHash };
  };

  function readHeader(request: S3Request): Claim {
    const authorization = request.header("authorization");
    if (authorization === undefined) throw new S3Error("AccessDenied", "Access Denied");
    const malformed = (message: string) => new S3Error("AuthorizationHeaderMalformed", message);
    const fields =
      /^AWS4-HMAC-SHA256\s+Credential=([^,\s]+)\s*,\s*SignedHeaders=([^,\s]+)\s*,\s*Signature=([0-9a-f]{64})$/.exec(
        authorization,
      );
    if (!fields) throw malformed("The authorization header is malformed.");
    const [, credential = "", headers = "", signature = ""] = fields;
    const timestamp = request.header("x-amz-date");
    if (timestamp === undefined) {
      throw new S3Error("AccessDenied", "AWS authentication requires a valid x-amz-date header.");
    }
    const payloadHash = request.header("x-amz-content-sha256");
    if (payloadHash === undefined) {
      throw new S3Error("InvalidRequest", "Missing required header: x-amz-content-sha256.");
    }
    return {
      ...readCredential(credential, timestamp, malformed),
      signedHeaders: headers.split(";"),
      signature,
      timestamp,
      payloadHash,
    };
  }

  function readQuery(request: S3Request): Claim {
    if (request.header("authorization") !== undefined) {
      throw new S3Error("InvalidArgument", "Only one auth mechanism allowed.");
    }
    const malformed = (message: string) =>
      new S3Error("AuthorizationQueryParametersError", message);
    const parameter = (name: string) => {
      const value = request.query.get(name);
      if (!value) throw malformed(`Query-string authentication requires ${name}.`);
      return value;
    };
    if (parameter("X-Amz-Algorithm") !== ALGORITHM) {
      throw malformed(`X-Amz-Algorithm only supports ${ALGORITHM}.`);
    }
    const timestamp = parameter("X-Amz-Date");
    const signature = parameter("X-Amz-Signature");
    if (!/^[0-9a-f]{64}$/.test(signature)) {
      throw new S3Error("SignatureDoesNotMatch", "The signature is not one of this algorithm.");
    }
    const expires = parameter("X-Amz-Expires");
    if (!/^[1-9]\d{0,6}$/.test(expires) || Number(expires) > MAX_EXPIRES_S) {
      throw malformed("X-Amz-Expires must be from 1 to 604800 seconds.");
    }
    return {
      ...readCredential(parameter("X-Amz-Credential"), timestamp, malformed),
      signedHeaders: parameter("X-Amz-SignedHeaders").split(";"),
      signature,
      timestamp,
      payloadHash: request.amz("x-amz-content-sha256") ?? "UNSIGNED-PAYLOAD",
    };
  }

  function readCredential(
    credential: string,
    timestamp: string,
    malformed: (message: string) => S3Error,
  ) {
    const [accessKeyId = "", date = "", scopeRegion, service, terminator, ...rest] =
      credential.split("/");
    if (scopeRegion !== region) {
      throw malformed(`The credential's region is wrong; expecting '${region}'.`);
    }
    if (service !== "s3" || terminator !== "aws4_request" || rest.length > 0) {
      throw malformed("The credential's scope is malformed.");
    }
    if (!/^\d{8}T\d{6}Z$/.test(timestamp) || !timestamp.startsWith(date) || date.length !== 8) {
      throw malformed("The date does not match the credential's scope.");
    }
    return { accessKeyId, date };
  }
}

function checkSignedHeaders(request: S3Request, claim: Claim): void {
  const signed = new Set(claim.signedHeaders);
  if (signed.size !== claim.signedHeaders.length || !signed.has("host")) {
    throw new S3Error("AccessDenied", "The host header must be signed.");
  }
  for (const name of request.headerNames) {
    if (name.startsWith("x-amz-") && !signed.has(name)) {
      throw new S3Error(
        "AccessDenied",
        `There were headers present which were not signed: ${name}`,
      );
    }
  }
  if (request.amz("x-amz-security-token") !== undefined) {
    throw new S3Error("InvalidToken", "This store issues no session tokens.");
  }
}

function checkTime(request: S3Request, timestamp: string, now: number): void {
  const signedAt = Date.parse(
    timestamp.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"),
  );
  if (Number.isNaN(signedAt)) throw new S3Error("AccessDenied", "X-Amz-Date is not a date.");
  if (!request.presigned) {
    if (Math.abs(now - signedAt) > MAX_SKEW_MS) {
      throw new S3Error(
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
      );
    }
    return;
  }
  if (signedAt - now > MAX_SKEW_MS) {
    throw new S3Error("AccessDenied", "Request is not yet valid");
  }
  if (now >= signedAt + Number(request.query.get("X-Amz-Expires")) * 1000) {
    throw new S3Error("AccessDenied", "Request has expired");
  }
}

function signingKey(secret: string, date: string, region: string): Buffer {
  return [date, region, "s3", "aws4_request"].reduce<Buffer>(
    (key, part) => hmac(key, part),
    Buffer.from(`AWS4${secret}`),
  );
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
