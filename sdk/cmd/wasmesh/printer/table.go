package printer

import (
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Column is one column of a table over objects of type T.
type Column[T any] struct {
	Header string
	// Wide columns are printed with -o wide only.
	Wide bool
	Cell func(T) string
}

// Table writes one row an object, aligned as kubectl aligns. An empty cell stays empty, as there.
func Table[T any](w io.Writer, columns []Column[T], objects []T, wide bool) error {
	return new(Rows).Append(w, Cells(columns, objects, wide, true))
}

// Cells are the table's rows, with the header before them when header is set.
func Cells[T any](columns []Column[T], objects []T, wide, header bool) (rows [][]string) {
	columns = slices.DeleteFunc(slices.Clone(columns), func(c Column[T]) bool { return c.Wide && !wide })
	if header {
		row := make([]string, len(columns))
		for i, column := range columns {
			row[i] = column.Header
		}
		rows = append(rows, row)
	}
	for _, object := range objects {
		row := make([]string, len(columns))
		for i, column := range columns {
			row[i] = oneLine(column.Cell(object))
		}
		rows = append(rows, row)
	}
	return rows
}

// Rows is a table that is written in pieces: a column is as wide as its widest cell so far.
type Rows struct{ widths []int }

// columnGap is the number of spaces after the widest cell of a column, as kubectl has it.
const columnGap = 3

// Append writes further rows.
func (r *Rows) Append(w io.Writer, rows [][]string) error {
	for _, row := range rows {
		for i, cell := range row {
			if i == len(r.widths) {
				r.widths = append(r.widths, 0)
			}
			r.widths[i] = max(r.widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			text.WriteString(cell)
			if i < len(row)-1 {
				text.WriteString(strings.Repeat(" ", r.widths[i]+columnGap-utf8.RuneCountInString(cell)))
			}
		}
		text.WriteByte('\n')
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// oneLine puts one space in the place of whatever would end the cell or the row, or command the terminal: cells repeat
// what runtimes and storage say.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
}
