package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// One mesh with a good model and every kind of bad declaration: each bad one says what is wrong, and the good one serves
// through all of it.
func TestBadDeclarations(t *testing.T) {
	s3 := newStore(t)
	good := s3.putFake("good", behaviour{SizeBytes: mib})
	broken := s3.putFake("broken", behaviour{SizeBytes: mib, Fail: "weights are upside down"})
	huge := s3.putFake("huge", behaviour{SizeBytes: 500 * mib})
	s3.put("fake/bulky.json", make([]byte, 90*mib)) // takes 1.25 times that in memory, by estimate
	replace := func(yaml, old, new string) string {
		if !strings.Contains(yaml, old) {
			t.Fatalf("no %q to replace in %s", old, yaml)
		}
		return strings.Replace(yaml, old, new, 1)
	}
	files := map[string]string{
		"secret.yaml":       s3.secret() + "  wrong: |\n    " + `{"type":"s3","access_key_id":"AKIAWRONG","secret_access_key":"nonsense","endpoint_url":"` + s3.url + `","region":"us-south","bucket":"` + bucket + `"}` + "\n",
		"runtime.yaml":      fakeRuntime(100 * mib),
		"good.yaml":         fakeService("good", good),
		"format.yaml":       serviceOf("format", "no-such-format", good),
		"runtime-name.yaml": replace(fakeService("runtime-name", good), "modelFormat:", "runtime: no-such-runtime\n      modelFormat:"),
		"both.yaml":         replace(fakeService("both", good), "storageUri:", "storage: {key: localMinIO, path: x}\n      storageUri:"),
		"scheme.yaml":       replace(fakeService("scheme", good), "s3://", "ftp://"),
		"secret-key.yaml":   replace(fakeService("secret-key", good), "secretKey: localMinIO", "secretKey: no-such-key"),
		"credentials.yaml":  replace(fakeService("credentials", good), "secretKey: localMinIO", "secretKey: wrong"),
		"bucket.yaml":       replace(fakeService("bucket", good), bucket, "no-such-bucket"),
		"prefix.yaml":       fakeService("prefix", "no/such/prefix"),
		"broken.yaml":       fakeService("broken", broken),
		"huge.yaml":         sized(fakeService("huge", huge), 500*mib),
		"bulky.yaml":        fakeService("bulky", "fake/bulky.json"),
		"malformed.yaml":    "apiVersion: v1\nkind: Secret\n  metadata: [\n",
	}
	m := up(t, files)
	m.untilLoaded("good")

	for _, test := range []struct {
		name, reason string
		// message must be part of the failure's message.
		message string
		// invalid specs have that transition.
		invalid bool
	}{
		{"format", "NoSupportingRuntime", "No ServingRuntime supports specified model type and/or protocol", false},
		{"runtime-name", "RuntimeNotRecognized", "Specified runtime name not recognized", false},
		{"both", "InvalidPredictorSpec", "storageUri", true},
		{"scheme", "InvalidPredictorSpec", "ftp", true},
		{"secret-key", "ModelLoadFailed", "no-such-key", false},
		{"credentials", "ModelLoadFailed", "credentials", false},
		{"bucket", "ModelLoadFailed", "no-such-bucket", false},
		{"prefix", "ModelLoadFailed", "no/such/prefix", false},
		{"broken", "ModelLoadFailed", "weights are upside down", false},
		{"huge", "ModelLoadFailed", "needs 500.0 MiB, more than the whole capacity of 100.0 MiB", false},
		{"bulky", "ModelLoadFailed", "needs 112.5 MiB, more than the whole capacity of 100.0 MiB", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := m.in(t)
			s := m.until(test.name, "says what is wrong", func(s service) bool {
				reason, _ := s.failure()
				return reason == test.reason
			})
			reason, message := s.failure()
			t.Logf("%s: %s", reason, message)
			if !strings.Contains(message, test.message) {
				t.Errorf("message %q does not name %q", message, test.message)
			}
			if strings.Contains(message, secretKey) || strings.Contains(message, "nonsense") {
				t.Errorf("message %q carries a credential", message)
			}
			if got := s.Status.ModelStatus.TransitionStatus; (got == "InvalidSpec") != test.invalid {
				t.Errorf("transition status %q", got)
			}
			for _, condition := range s.Status.Conditions {
				if condition.Status != "True" && (condition.Reason == "" || condition.Message == "") {
					t.Errorf("condition %s is %s without reason or message", condition.Type, condition.Status)
				}
			}
			if _, err := infer(t.Context(), m.grpcClient(), "good"); err != nil {
				t.Errorf("the good model is disturbed: %v", err)
			}
		})
	}
	if out, err := m.run("get", "isvc"); err != nil || !strings.Contains(out, "good") {
		t.Errorf("get isvc: %v\n%s", err, out)
	}
	_, err := infer(t.Context(), m.grpcClient(), "broken")
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "weights are upside down") {
		t.Errorf("a request to a model that failed to load ended with %v, want FAILED_PRECONDITION and the reason", err)
	}
	const one = `{"inputs":[{"name":"x","shape":[1],"datatype":"INT32","data":[1]}]}`
	if code, body := m.post("/v2/models/broken/infer", "application/json", []byte(one)); code != http.StatusFailedDependency ||
		!strings.Contains(errorOf(t, body), "weights are upside down") {
		t.Errorf("the same over REST: %d %s", code, body)
	}
	_, err = infer(t.Context(), m.grpcClient(), "huge")
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "500.0 MiB") {
		t.Errorf("a request to a model that can never fit ended with %v, want RESOURCE_EXHAUSTED and the numbers", err)
	}
}

// A malformed file is named with its line; what it held before goes on serving.
func TestMalformedYAMLNamesFileAndLine(t *testing.T) {
	s3 := newStore(t)
	m := up(t, map[string]string{
		"secret.yaml": s3.secret(), "runtime.yaml": fakeRuntime(100 * mib),
		"good.yaml": fakeService("good", s3.putFake("good", behaviour{SizeBytes: mib})),
	})
	m.untilLoaded("good")
	m.write("good.yaml", "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: good\nspec: [\n")
	m.eventually("the controller names file and line", func() error {
		out, err := m.warnings()
		if err != nil {
			return err
		}
		if !strings.Contains(out, "good.yaml:3: malformed YAML") {
			return fmt.Errorf("warnings are: %s", out)
		}
		return nil
	})
	if _, err := infer(t.Context(), m.grpcClient(), "good"); err != nil {
		t.Errorf("the last good version does not serve: %v", err)
	}
}

func TestBadRequests(t *testing.T) {
	s3 := newStore(t)
	m := up(t, map[string]string{
		"secret.yaml": s3.secret(), "runtime.yaml": fakeRuntime(100 * mib),
		"good.yaml": fakeService("good", s3.putFake("good", behaviour{SizeBytes: mib})),
		"slow.yaml": fakeService("slow", s3.putFake("slow", behaviour{SizeBytes: mib, LoadMS: 5000})),
	}, "--host-arg=--max-message-bytes=1048576")
	m.untilLoaded("good")
	const path = "/v2/models/good/infer"
	for _, test := range []struct {
		name, path, body string
		code             int
		message          string
	}{
		{"not JSON", path, "hello", http.StatusBadRequest, "JSON"},
		{"wrong shape", path, `{"inputs":[{"name":"x","shape":[3],"datatype":"FP32","data":[1,2]}]}`, http.StatusBadRequest, "x"},
		{"wrong datatype", path, `{"inputs":[{"name":"x","shape":[1],"datatype":"FP31","data":[1]}]}`, http.StatusBadRequest, "FP31"},
		{"data of another type", path, `{"inputs":[{"name":"x","shape":[1],"datatype":"INT32","data":["one"]}]}`, http.StatusBadRequest, "x"},
		{"no inputs", path, `{}`, http.StatusBadRequest, "inputs"},
		{"over the limit", path, `{"inputs":[{"name":"` + strings.Repeat("x", 2*mib) + `"}]}`, http.StatusRequestEntityTooLarge, "1048576"},
		{"unknown model", "/v2/models/nobody/infer", `{"inputs":[{"name":"x","shape":[1],"datatype":"INT32","data":[1]}]}`, http.StatusNotFound, "nobody"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, body := m.post(test.path, "application/json", []byte(test.body))
			if code != test.code || !strings.Contains(errorOf(t, body), test.message) {
				t.Errorf("%d %s; want %d naming %q", code, body, test.code, test.message)
			}
		})
	}

	client := m.grpcClient()
	if _, err := client.ModelInfer(t.Context(), echo("nobody", 1)); status.Code(err) != codes.NotFound {
		t.Errorf("unknown model over gRPC: %v", err)
	}
	if _, err := client.ModelInfer(t.Context(), echo("good", 2*mib)); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("message over the limit: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := client.ModelInfer(ctx, echo("slow", 1)); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("deadline shorter than the load: %v", err)
	}
	if _, err := infer(t.Context(), client, "slow"); err != nil {
		t.Errorf("the load was lost with the first caller: %v", err)
	}
}
