export function requireLate(text: string, path: string): string;
