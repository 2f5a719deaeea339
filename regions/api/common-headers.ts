/** What every answer of the region's API has. */
export const commonHeaders = (requestId: string) => ({
  "x-request-id": requestId,
  "cache-control": "no-store",
});
