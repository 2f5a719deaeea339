import type { OfferEntry } from "./offers.ts";

/**
 * What a run leaves that came to its end after its job was canceled elsewhere: that it was canceled. No result, no recording, and
 * nothing to pay.
 */
export function asCanceled({ offer, envelope, webhook, ...rest }: OfferEntry): OfferEntry {
  const { sealed: _sealed, ...told } = webhook ?? {};
  const { result_key: _result, audio: _audio, error: _error, ...run } = offer;
  return {
    ...rest,
    ...(webhook ? { webhook: told } : {}),
    offer: { ...run, status: "canceled", cost: { usd: 0, stages: [] } },
    envelope: {
      ...envelope,
      job: {
        ...envelope.job,
        status: "canceled",
        error_code: null,
        audio_sha256: null,
        audio_duration_s: null,
        result_key: null,
        usd: 0,
      },
      result: null,
      usage: [],
    },
  };
}
