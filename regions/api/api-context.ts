/** What the middleware has found out about a request. */
export interface ApiEnv {
  Variables: {
    requestId: string;
    /** What the line in the log about this request tells besides: figures and names of ours, never what a client sent. */
    outcome?: Readonly<Record<string, string | number | boolean>>;
    /** Whether the answer has its id and cache-control already; see answerJson. */
    isHeaded?: true;
    /** The body as it was signed. */
    body: string;
  };
}
