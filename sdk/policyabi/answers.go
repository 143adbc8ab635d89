package policyabi

import "fmt"

// seenOnStack rows are told apart without allocating.
const seenOnStack = 4096

// distinct checks that answers are whole, that each names a row, and that no row is named twice. Every answer begins with
// its row. all: each row has to have one.
func distinct(response []byte, size, rows int, all bool) error {
	if len(response)%size != 0 {
		return fmt.Errorf("%w: %d bytes are not a multiple of %d", ErrAnswer, len(response), size)
	}
	if n := len(response) / size; n > rows || all && n < rows {
		return fmt.Errorf("%w: %d answers about %d rows", ErrAnswer, n, rows)
	}
	var stack [seenOnStack / 64]uint64
	seen := stack[:]
	if rows > seenOnStack {
		seen = make([]uint64, (rows+63)/64)
	}
	for o := 0; o < len(response); o += size {
		row := record{b: response[o : o+size]}.u32(0)
		if uint64(row) >= uint64(rows) {
			return fmt.Errorf("%w: answer %d is about row %d, and the last row is %d", ErrAnswer, o/size, row, rows-1)
		}
		if seen[row/64]&(1<<(row%64)) != 0 {
			return fmt.Errorf("%w: answer %d is about row %d again", ErrAnswer, o/size, row)
		}
		seen[row/64] |= 1 << (row % 64)
	}
	return nil
}
