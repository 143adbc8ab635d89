// Package arch holds the rules of the house that a compiler cannot: which package may import which, that every package
// says what it is for, and how large a file or a function may grow. They are tests, so a change that breaks one fails.
package arch
