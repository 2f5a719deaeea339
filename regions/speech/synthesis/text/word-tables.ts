/** Tables of English abbreviations, units and acronyms for the normaliser. Keys are as they are written. */

/** Titles and the like: a name follows, so their full stop never ends a sentence. */
export const TITLES: Record<string, string> = {
  Dr: "doctor",
  Mr: "mister",
  Mrs: "missus",
  Ms: "miz",
  Prof: "professor",
  Rev: "reverend",
  Gen: "general",
  Sen: "senator",
  Rep: "representative",
  Gov: "governor",
  Capt: "captain",
  Lt: "lieutenant",
  Col: "colonel",
  Sgt: "sergeant",
  Hon: "honorable",
  Pres: "president",
  Mt: "mount",
  Ft: "fort",
};

/** May stand at the end of a sentence too. */
export const ABBREVIATIONS: Record<string, string> = {
  etc: "et cetera",
  vs: "versus",
  approx: "approximately",
  dept: "department",
  est: "estimated",
  fig: "figure",
  Inc: "incorporated",
  Ltd: "limited",
  Co: "company",
  Corp: "corporation",
  Bros: "brothers",
  Jr: "junior",
  Sr: "senior",
  Ave: "avenue",
  Blvd: "boulevard",
  Rd: "road",
  Hwy: "highway",
  Jan: "january",
  Feb: "february",
  Apr: "april",
  Aug: "august",
  Sept: "september",
  Sep: "september",
  Oct: "october",
  Nov: "november",
  Dec: "december",
  Mon: "monday",
  Tues: "tuesday",
  Tue: "tuesday",
  Wed: "wednesday",
  Thurs: "thursday",
  Thu: "thursday",
  Fri: "friday",
  misc: "miscellaneous",
  ext: "extension",
};

export const MONTHS = [
  "january",
  "february",
  "march",
  "april",
  "may",
  "june",
  "july",
  "august",
  "september",
  "october",
  "november",
  "december",
];

/** After a number: one, many. */
export const UNITS: Record<string, [string, string]> = {
  km: ["kilometer", "kilometers"],
  m: ["meter", "meters"],
  cm: ["centimeter", "centimeters"],
  mm: ["millimeter", "millimeters"],
  nm: ["nanometer", "nanometers"],
  mi: ["mile", "miles"],
  ft: ["foot", "feet"],
  in: ["inch", "inches"],
  yd: ["yard", "yards"],
  kg: ["kilogram", "kilograms"],
  g: ["gram", "grams"],
  mg: ["milligram", "milligrams"],
  lb: ["pound", "pounds"],
  lbs: ["pound", "pounds"],
  oz: ["ounce", "ounces"],
  l: ["liter", "liters"],
  L: ["liter", "liters"],
  ml: ["milliliter", "milliliters"],
  mL: ["milliliter", "milliliters"],
  h: ["hour", "hours"],
  hr: ["hour", "hours"],
  hrs: ["hour", "hours"],
  min: ["minute", "minutes"],
  mins: ["minute", "minutes"],
  s: ["second", "seconds"],
  sec: ["second", "seconds"],
  ms: ["millisecond", "milliseconds"],
  ns: ["nanosecond", "nanoseconds"],
  Hz: ["hertz", "hertz"],
  kHz: ["kilohertz", "kilohertz"],
  MHz: ["megahertz", "megahertz"],
  GHz: ["gigahertz", "gigahertz"],
  dB: ["decibel", "decibels"],
  V: ["volt", "volts"],
  kV: ["kilovolt", "kilovolts"],
  A: ["ampere", "amperes"],
  W: ["watt", "watts"],
  kW: ["kilowatt", "kilowatts"],
  MW: ["megawatt", "megawatts"],
  kWh: ["kilowatt hour", "kilowatt hours"],
  B: ["byte", "bytes"],
  kB: ["kilobyte", "kilobytes"],
  KB: ["kilobyte", "kilobytes"],
  MB: ["megabyte", "megabytes"],
  GB: ["gigabyte", "gigabytes"],
  TB: ["terabyte", "terabytes"],
  kbps: ["kilobit per second", "kilobits per second"],
  Mbps: ["megabit per second", "megabits per second"],
  Gbps: ["gigabit per second", "gigabits per second"],
  mph: ["mile per hour", "miles per hour"],
  kmh: ["kilometer per hour", "kilometers per hour"],
  "km/h": ["kilometer per hour", "kilometers per hour"],
  "m/s": ["meter per second", "meters per second"],
  "°C": ["degree celsius", "degrees celsius"],
  "°F": ["degree fahrenheit", "degrees fahrenheit"],
  "°": ["degree", "degrees"],
  px: ["pixel", "pixels"],
};

/** Units that are words or names too, and count as units only where they touch their number. */
export const UNITS_ATTACHED: ReadonlySet<string> = new Set(["in", "A", "B", "h", "L"]);

/** Sign or code → one, many, one and many of the hundredth part (none: it is read as a decimal). */
export const CURRENCIES: Record<string, [string, string, string?, string?]> = {
  $: ["dollar", "dollars", "cent", "cents"],
  US$: ["dollar", "dollars", "cent", "cents"],
  USD: ["dollar", "dollars", "cent", "cents"],
  "€": ["euro", "euros", "cent", "cents"],
  EUR: ["euro", "euros", "cent", "cents"],
  "£": ["pound", "pounds", "penny", "pence"],
  GBP: ["pound", "pounds", "penny", "pence"],
  "¥": ["yen", "yen"],
  JPY: ["yen", "yen"],
  "₹": ["rupee", "rupees", "paisa", "paise"],
  INR: ["rupee", "rupees", "paisa", "paise"],
};

/** Capitals that are words: pronounceable acronyms, and what people write in capitals to stress it. */
export const SAID_AS_WORDS: ReadonlySet<string> = new Set(
  (
    "NASA NATO UNICEF UNESCO AIDS RAM ROM LAN WAN PIN SIM GIF RADAR LASER SONAR SCUBA FIFA OPEC NAFTA POTUS SWAT COVID " +
    "A I AM AN AND ARE AS AT BE BIG BUT BY CAN DAY DID DO END FOR GET GO GOOD HAD HAS HAVE HE HER HIM HIS HOT HOW IF IN IS IT " +
    "ITS JUST LET LIKE LOT MAY ME MORE MUST MY NEW NEXT NO NONE NOT NOW OF OFF OLD ON ONE ONLY OR OUR OUT OVER OWN PLAY " +
    "SAY SEE SHE SO STOP TEN THAT THE THEM THEN THERE THEY THIS TO TOO TOP TWO UP USE VERY WAS WAY WE WELL WENT WERE WHAT " +
    "WHEN WHO WHY WILL WITH YES YET YOU YOUR ALL ANY HELP HERE HEY HI OH READ WAIT WARN NOTE BEST BOTH EACH EVEN EVER " +
    "FREE FULL LAST LATE LESS LIVE LONG LOOK MADE MAKE MANY MOST MUCH NEED ONCE OPEN REAL SAFE SAME SOME SUCH SURE TAKE TELL " +
    "THAN THUS TIME TRUE TURN WANT WORD WORK ZERO CALL COME DONE DOWN EXIT FAIL FAST FIRE FIVE FOUR GIVE HIGH HOLD KEEP KNOW"
  ).split(" "),
);
