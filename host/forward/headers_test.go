package forward

import (
	"net/http"
	"reflect"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

func TestOutgoingHeaders(t *testing.T) {
	head := Head{
		ModelID: "digits__isvc-1",
		Metadata: http.Header{
			"Content-Type": {"application/grpc+proto"}, "Grpc-Timeout": {"9S"}, "User-Agent": {"grpc-go"}, "Te": {"trailers"},
			"Mm-Vmodel-Id": {"digits"}, "Mm-Balanced": {"true"}, "Mm-Model-Id": {"spoofed"}, "Connection": {"close"},
			"Wasmesh-Model-Id": {"spoofed"}, "Wasmesh-Wait": {"1"}, "Wasmesh-Mesh-Token": {"spoofed"}, "Expect": {"100-continue"},
			"Grpc-Accept-Encoding": {"gzip"}, "Traceparent": {"00-1"}, "Blob-Bin": {"AAE"},
		},
	}
	want := http.Header{
		"Content-Type": {"application/grpc+proto"}, "Grpc-Timeout": {"1500000u"}, "User-Agent": {"wasmesh"}, "Te": {"trailers"},
		"Mm-Model-Id": {"digits__isvc-1"}, "Grpc-Accept-Encoding": {"gzip"}, "Traceparent": {"00-1"}, "Blob-Bin": {"AAE"},
	}
	if got := outgoing(Target{}, head, 1500*time.Millisecond); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	head.ModelID = "modèle"
	if got := outgoing(Target{}, head, 0); got.Get("Mm-Model-Id")+got.Get("Grpc-Timeout") != "" || got.Get("Mm-Model-Id-Bin") != "bW9kw6hsZQ" {
		t.Errorf("an id beyond ASCII and no deadline: %v", got)
	}
}

func TestHeadersToAPeer(t *testing.T) {
	target := Target{Peer: true, Header: http.Header{"Wasmesh-Mesh-Token": {"ours"}}}
	head := Head{ModelID: "modèle %", Name: "digits", Wait: true, Metadata: http.Header{
		"Content-Type": {"application/grpc"}, "Wasmesh-Mesh-Token": {"spoofed"}, "Wasmesh-Name": {"spoofed"}, "Mm-Vmodel-Id": {"digits"}, "Traceparent": {"00-1"},
	}}
	want := http.Header{
		"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "User-Agent": {"wasmesh"}, "Traceparent": {"00-1"}, "Wasmesh-Mesh-Token": {"ours"},
		"Wasmesh-Model-Id": {"mod%C3%A8le %25"}, "Wasmesh-Name": {"digits"}, "Wasmesh-Wait": {"1"},
	}
	if got := outgoing(target, head, 0); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestTimeouts(t *testing.T) {
	tests := []struct {
		text string
		want time.Duration
	}{
		{"1H", time.Hour}, {"2M", 2 * time.Minute}, {"3S", 3 * time.Second}, {"250m", 250 * time.Millisecond},
		{"99999999u", 99999999 * time.Microsecond}, {"0n", 0}, {"99999999H", 1<<63 - 1},
	}
	for _, tt := range tests {
		if got, err := ParseTimeout(tt.text); got != tt.want || err != nil {
			t.Errorf("%s: got %v %v, want %v", tt.text, got, err, tt.want)
		}
	}
	for _, text := range []string{"", "S", "1", "1s", "-1S", "123456789S", "1 S", "+1S"} {
		if got, err := ParseTimeout(text); err == nil {
			t.Errorf("%q is malformed, got %v", text, got)
		}
	}
	for _, d := range []time.Duration{-5, 0, 1, 99999999, 100000001, time.Second, time.Hour, 20000 * time.Hour} {
		back, err := ParseTimeout(formatTimeout(d))
		if err != nil || back < d || back > max(1, d)+max(1, d)/1000+time.Microsecond {
			t.Errorf("%v -> %s -> %v %v: want at least as long, and close", d, formatTimeout(d), back, err)
		}
	}
}

func TestStatus(t *testing.T) {
	for _, message := range []string{"", "plain", "100 % of\nx", "Grüße"} {
		header := http.Header{"Grpc-Status": {"5"}, "Grpc-Message": {EncodeMessage(message)}}
		if got, ok := statusOf(header); !ok || got.Code != codes.NotFound || got.Message != message {
			t.Errorf("%q: got %v %v", message, got, ok)
		}
	}
	if got, _ := statusOf(http.Header{"Grpc-Status": {"nonsense"}}); got.Code != codes.Unknown {
		t.Errorf("nonsense: %v", got)
	}
	if _, ok := statusOf(http.Header{}); ok {
		t.Error("no status found where there is none")
	}
}
