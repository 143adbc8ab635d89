package scenario

import (
	"fmt"
	"strings"
)

// String is the scenario as Parse reads it.
func (s *Scenario) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d\n", s.Seed)
	for i := range s.Hosts {
		fmt.Fprintf(&b, "host %s%s\n", s.Hosts[i].Name, written(s.Hosts[i].arguments()))
	}
	for i := range s.Models {
		fmt.Fprintf(&b, "model %s%s\n", s.Models[i].Name, written(s.Models[i].arguments()))
	}
	for i := range s.Steps {
		b.WriteString(s.Steps[i].String())
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "quiet %v\n", s.Quiet)
	return b.String()
}

// String is the step's line.
func (s Step) String() string {
	subjects, model, arguments := s.shape()
	var names []string
	switch {
	case model:
		names = []string{s.Model}
	case subjects == 1:
		names = []string{s.Host}
	default:
		names = s.Hosts
	}
	line := fmt.Sprintf("at %v %s", s.At, s.Verb)
	for _, name := range names {
		line += " " + name
	}
	return line + written(arguments)
}

// written is all arguments that are not as they would be unsaid.
func written(arguments []argument) string {
	text := ""
	for _, a := range arguments {
		if value := a.write(); value != "" {
			text += " " + a.name + "=" + value
		}
	}
	return text
}
