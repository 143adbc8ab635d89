package printer

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
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
	var shown []Column[T]
	for _, column := range columns {
		if wide || !column.Wide {
			shown = append(shown, column)
		}
	}
	table := tabwriter.NewWriter(w, 6, 4, 3, ' ', tabwriter.TabIndent)
	headers := make([]string, len(shown))
	for i, column := range shown {
		headers[i] = column.Header
	}
	fmt.Fprintln(table, strings.Join(headers, "\t"))
	for _, object := range objects {
		cells := make([]string, len(shown))
		for i, column := range shown {
			cells[i] = oneLine(column.Cell(object))
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	return table.Flush()
}

// oneLine puts one space in the place of whatever would end the cell or the row, or command the terminal: cells repeat
// what runtimes and storage say.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
}
