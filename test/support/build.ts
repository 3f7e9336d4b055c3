import {execFileSync} from 'node:child_process';

/** The tests of the built binary run on what `src` is now. */
export default function build(): void {
  execFileSync('npm', ['run', '--silent', 'build'], {stdio: 'inherit'});
}
