package scenario

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// argument is one "name=value" of a line, or the way to one field.
type argument struct {
	name string
	// read sets the field; write answers what to print, empty for a value that need not be said.
	read  func(text string) error
	write func() string
}

func (s *Step) shape() (subjects int, model bool, arguments []argument) {
	of := argument{"for", duration(&s.For), durationText(&s.For)}
	by := argument{"by", duration(&s.By), durationText(&s.By)}
	count := argument{"count", number(&s.Count), numberText(&s.Count)}
	via := argument{"via", word(&s.Host), wordText(&s.Host)}
	on := argument{"on", word(&s.Host), wordText(&s.Host)}
	switch s.Verb {
	case Request:
		return 0, true, []argument{
			via, count, {"over", duration(&s.Over), durationText(&s.Over)},
			{"deadline", duration(&s.Deadline), durationText(&s.Deadline)}, {"work", duration(&s.Work), durationText(&s.Work)},
		}
	case Crash, Hang, RuntimeCrash, StickyUnload:
		return 1, false, []argument{of}
	case Start, Drain:
		return 1, false, nil
	case Partition:
		return anyNumber, false, []argument{of}
	case Cut:
		return 2, false, []argument{of}
	case Reset:
		return 2, false, nil
	case Lose:
		return 2, false, []argument{count}
	case SlowPeer, SlowDisk:
		return 1, false, []argument{by, of}
	case ClockJump:
		return 1, false, []argument{by}
	case Forget:
		return 0, true, []argument{on}
	case Break:
		return 0, true, []argument{on, of}
	case Unreachable:
		return 0, true, []argument{of}
	case NoController:
		return 0, false, []argument{of}
	case Add, Remove:
		return 0, true, nil
	case Change:
		return 0, true, []argument{
			{"min", number(&s.Min), numberText(&s.Min)}, {"max", number(&s.Max), numberText(&s.Max)},
			{"pinned", flag(&s.Pinned), flagText(&s.Pinned)}, {"priority", number(&s.Priority), numberText(&s.Priority)},
		}
	}
	return -1, false, nil
}

// anyNumber of hosts, at least one.
const anyNumber = 1 << 30

func (h *Host) arguments() []argument {
	return []argument{
		{"capacity", bytes(&h.Capacity), bytesText(&h.Capacity)},
		{"zone", word(&h.Zone), wordText(&h.Zone)},
		{"loads", number(&h.Loads), numberText(&h.Loads)},
		{"skew", duration(&h.Skew), durationText(&h.Skew)},
		{"gateway", flag(&h.Gateway), flagText(&h.Gateway)},
		{"later", flag(&h.Later), flagText(&h.Later)},
	}
}

func (m *Model) arguments() []argument {
	return []argument{
		{"size", bytes(&m.Bytes), bytesText(&m.Bytes)},
		{"load", duration(&m.Load), m.Load.String},
		{"pull", duration(&m.Pull), m.Pull.String},
		{"declared", flag(&m.Declared), flagText(&m.Declared)},
		{"surprise", flag(&m.Surprise), flagText(&m.Surprise)},
		{"later", flag(&m.Later), flagText(&m.Later)},
		{"min", number(&m.Min), numberText(&m.Min)},
		{"max", number(&m.Max), numberText(&m.Max)},
		{"pinned", flag(&m.Pinned), flagText(&m.Pinned)},
		{"priority", number(&m.Priority), numberText(&m.Priority)},
		{"idle-ttl", duration(&m.IdleTTL), durationText(&m.IdleTTL)},
		{"concurrency", number(&m.Concurrency), numberText(&m.Concurrency)},
	}
}

func word(to *string) func(string) error {
	return func(text string) error {
		*to = text
		return nil
	}
}

func wordText(from *string) func() string { return func() string { return *from } }

func flag(to *bool) func(string) error {
	return func(text string) (err error) {
		*to, err = strconv.ParseBool(text)
		return err
	}
}

func flagText(from *bool) func() string {
	return func() string {
		if !*from {
			return ""
		}
		return "true"
	}
}

func number(to *int) func(string) error {
	return func(text string) (err error) {
		*to, err = strconv.Atoi(text)
		return err
	}
}

func numberText(from *int) func() string {
	return func() string {
		if *from == 0 {
			return ""
		}
		return strconv.Itoa(*from)
	}
}

func duration(to *time.Duration) func(string) error {
	return func(text string) (err error) {
		*to, err = time.ParseDuration(text)
		return err
	}
}

func durationText(from *time.Duration) func() string {
	return func() string {
		if *from == 0 {
			return ""
		}
		return from.String()
	}
}

func bytes(to *int64) func(string) error {
	return func(text string) (err error) {
		*to, err = parseBytes(text)
		return err
	}
}

func bytesText(from *int64) func() string { return func() string { return formatBytes(*from) } }

var units = []struct {
	suffix string
	bytes  int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}}

// parseBytes reads "512MiB", "1GiB", "1000".
func parseBytes(text string) (int64, error) {
	for _, unit := range units {
		digits, ok := strings.CutSuffix(text, unit.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 0 || n > (1<<50)/unit.bytes {
			return 0, fmt.Errorf("%q is no number of bytes, as 512MiB is one", text)
		}
		return n * unit.bytes, nil
	}
	return 0, fmt.Errorf("%q is no number of bytes", text)
}

// formatBytes writes what parseBytes reads, exactly.
func formatBytes(n int64) string {
	for _, unit := range units {
		if n != 0 && n%unit.bytes == 0 {
			return strconv.FormatInt(n/unit.bytes, 10) + unit.suffix
		}
	}
	return "0"
}
