/** Extension under which audio of a container (regions/speech/decode/audio-info.ts) is kept and delivered, without the dot. */
export function audioExtension(container: string): string {
  switch (container) {
    case "mp4":
      return "m4a";
    case "aiff":
      return "aif";
    default:
      return /^[a-z0-9]{1,8}$/.test(container) ? container : "bin";
  }
}
