/** How late a renewal may be before it is an alarm: a cron line that runs every few minutes needs no more. */
export const DEFAULT_GRACE = '15m';

export const EVERY = ['day', 'week', 'month', 'year'] as const;

/** When a budget renews, on the wall clock of a time zone. */
export interface Schedule {
  every: (typeof EVERY)[number];
  /** IANA name, such as `Europe/Berlin`. */
  timezone: string;
  /** `HH:MM` */
  at: string;
  /** For a week the day, with Monday as 1; for a month the day, or its last day if it is shorter. Otherwise null. */
  on: number | null;
}

/** The time between two renewals. */
export interface Span {
  start: Date;
  end: Date;
}

/** Finds the span that contains a moment; see `makeCalendar`. */
export type SpanOf = (schedule: Schedule, now: Date) => Span;
