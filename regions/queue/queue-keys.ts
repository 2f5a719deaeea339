/** All of the queue lies in one hash slot, so that one script may touch any of it. The scripts make the rest from the prefix. */
export const queueKeys = {
  prefix: "{antiphon}:",
  offers: "{antiphon}:offers",
  dead: "{antiphon}:dead",
  replayed: "{antiphon}:dead:replayed",
  /** Channel: `w` when there is work, `s<job id>` when a watched job has changed, `c<job id>` when its cancel is asked for. */
  events: "{antiphon}:events",
};
