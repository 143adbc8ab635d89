package logs

import (
	"bytes"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestLogger(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string // in the error
	}{
		{nil, ""},
		{[]string{"--log-format", "json", "--log-level", "WARN"}, ""},
		{[]string{"--log-format", "xml"}, `flag --log-format: "xml" is neither text nor json`},
		{[]string{"--log-level", "loud"}, `flag --log-level: "loud" is none of debug`},
	} {
		var o Options
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		o.Bind(flags)
		if err := flags.Parse(c.args); err != nil {
			t.Fatal(err)
		}
		_, err := o.Logger(&bytes.Buffer{})
		if (err != nil) != (c.says != "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: error %v, want %q", c.args, err, c.says)
		}
	}
}

func TestJSONIsReadable(t *testing.T) {
	var out bytes.Buffer
	logger, err := Options{Format: "json", Level: "info"}.Logger(&out)
	if err != nil {
		t.Fatal(err)
	}
	logger.Debug("not this")
	logger.Info("host is up", "took", 4107*time.Millisecond, "grpc", &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 8033}, "copies", 3)
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	for key, want := range map[string]any{"msg": "host is up", "level": "INFO", "took": "4.107s", "grpc": "10.0.0.1:8033", "copies": 3.0} {
		if line[key] != want {
			t.Errorf("%s is %v, want %v", key, line[key], want)
		}
	}
}
