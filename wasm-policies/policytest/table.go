package policytest

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// WriteTable prints what was wanted beside what was answered, for people.
func (r Result) WriteTable(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "FAILED  %s: %s\n", r.Scenario.Name, r.Why); err != nil {
		return err
	}
	if len(r.Lines) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	subject, value := "ROW", "SCORE"
	switch r.Scenario.Hook {
	case policyabi.HookEvict:
		value = "KEEP"
	case policyabi.HookStatus:
		subject, value = "FIELD", ""
	}
	write := func(l Line) {
		fmt.Fprintf(table, "        %s\t%s\t%s\t%s\t%s\n", l.Subject, l.Want, l.Got, l.Value, l.Reason) // Flush has the error.
	}
	reason := "REASON"
	if r.Scenario.Hook == policyabi.HookStatus {
		reason = ""
	}
	write(Line{subject, "WANT", "GOT", value, reason})
	for _, l := range r.Lines {
		write(l)
	}
	return table.Flush()
}
