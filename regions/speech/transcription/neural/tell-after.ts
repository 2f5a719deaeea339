/** The same function, which tells after each call of it that was answered. */
export const tellAfter =
  <Input extends unknown[], Made>(
    run: (...input: Input) => Promise<Made>,
    tell: () => void,
  ): ((...input: Input) => Promise<Made>) =>
  async (...input) => {
    const made = await run(...input);
    tell();
    return made;
  };
