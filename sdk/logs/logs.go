// Package logs makes the loggers of our programs from their flags, so that host and controller write lines alike: to
// standard error, as text or as JSON, a duration as "4.1s" and an address as "10.0.0.1:8033" in both. It owns nothing; the
// programs' commands call it.
package logs

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/pflag"
)

// Options are what the flags say.
type Options struct {
	// Format is "text" or "json".
	Format string
	// Level is the least that is logged: "debug", "info", "warn" or "error", in any case.
	Level string
}

// Bind adds the flags --log-format and --log-level.
func (o *Options) Bind(flags *pflag.FlagSet) {
	flags.StringVar(&o.Format, "log-format", "text", "text or json")
	flags.StringVar(&o.Level, "log-level", "info", "debug, info, warn or error")
}

// Logger writes to w. The error names the flag that is wrong.
func (o Options) Logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.Level)); err != nil {
		return nil, fmt.Errorf("flag --log-level: %q is none of debug, info, warn and error", o.Level)
	}
	switch o.Format {
	case "text":
		return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: readable})), nil
	}
	return nil, fmt.Errorf("flag --log-format: %q is neither text nor json", o.Format)
}

// readable has JSON say what text says: encoding/json makes nanoseconds of a duration, and fields of an address.
func readable(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindDuration:
		a.Value = slog.StringValue(a.Value.Duration().String())
	case slog.KindAny:
		if s, is := a.Value.Any().(fmt.Stringer); is {
			a.Value = slog.StringValue(s.String())
		}
	}
	return a
}
