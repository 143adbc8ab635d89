package policyconfig

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestRead(t *testing.T) {
	type content struct {
		data   map[string]string
		binary map[string][]byte
	}
	module := map[string][]byte{"p.wasm": {0}}
	sum := strings.Repeat("aB", 32)
	for name, test := range map[string]struct {
		in    content
		fault string
		check func(Declaration) bool
	}{
		"least": {content{nil, module}, "", func(d Declaration) bool { return d.Key == "p.wasm" && d.Hooks == nil && !d.Shadow }},
		"all": {content{map[string]string{"config": "a=1", "hooks": "evict, place,evict", "sha256": " " + sum + "\n", "mode": "shadow"},
			map[string][]byte{"p.wasm.gz": {1}}}, "",
			func(d Declaration) bool {
				return string(d.Config) == "a=1" && slices.Equal(d.Hooks, []string{"evict", "place"}) &&
					d.SHA256 == strings.ToLower(sum) && d.Shadow
			}},
		"no module":      {content{nil, nil}, "exactly one key", nil},
		"two modules":    {content{nil, map[string][]byte{"a.wasm": {0}, "b.wasm": {0}}}, "found a.wasm, b.wasm", nil},
		"empty module":   {content{nil, map[string][]byte{"a.wasm": {}}}, "a.wasm, which is empty", nil},
		"other key":      {content{nil, map[string][]byte{"a.zip": {0}}}, "found a.zip", nil},
		"module as text": {content{map[string]string{"a.wasm": "AGFzbQ=="}, nil}, "belongs under binaryData", nil},
		"slip":           {content{map[string]string{"Mode": "shadow"}, module}, "data.Mode is none of", nil},
		"unknown hook":   {content{map[string]string{"hooks": "evict,move"}, module}, `data.hooks: "move" is none of place, evict, status`, nil},
		"some hooks": {content{map[string]string{"hooks": "evict,move,status"}, module}, `data.hooks: "move"`,
			func(d Declaration) bool { return slices.Equal(d.Hooks, []string{"evict", "status"}) }},
		"large config": {content{map[string]string{"config": strings.Repeat("x", maxConfigBytes+1), "hooks": "evict"}, module},
			"data.config has 1048577 bytes; at most 1048576", func(d Declaration) bool { return len(d.Hooks) == 1 }},
		"no hook":      {content{map[string]string{"hooks": ""}, module}, "data.hooks", nil},
		"unknown mode": {content{map[string]string{"mode": "canary"}, module}, `data.mode: "canary"`, nil},
		"short digest": {content{map[string]string{"sha256": "abcd"}, module}, "data.sha256", nil},
		"no hex":       {content{map[string]string{"sha256": strings.Repeat("x", 64)}, module}, "data.sha256", nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := Read(&corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p"}, Data: test.in.data, BinaryData: test.in.binary,
			}, "default")
			if test.fault == "" && d.Fault != "" || !strings.Contains(d.Fault, test.fault) {
				t.Errorf("fault %q, want %q", d.Fault, test.fault)
			}
			if d.Fault != "" && !strings.HasPrefix(d.Fault, "ConfigMap p: ") {
				t.Errorf("fault %q does not name the ConfigMap", d.Fault)
			}
			if test.check != nil && !test.check(d) {
				t.Errorf("got %+v", d)
			}
		})
	}
	foreign := Read(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "p"}, BinaryData: module}, "default")
	if foreign.Name != "other/p" || !strings.Contains(foreign.Fault, "namespace default only") {
		t.Errorf("of another namespace: %+v", foreign)
	}
}

func TestRevisionsDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, cm := range []*corev1.ConfigMap{
		{BinaryData: map[string][]byte{"a": []byte("b")}},
		{Data: map[string]string{"a": "b"}},
		{Data: map[string]string{"a": "", "b": ""}},
		{Data: map[string]string{"ab": ""}},
		{Data: map[string]string{"a": "b", "c": ""}},
		{},
	} {
		seen[revision(cm)] = true
	}
	if len(seen) != 6 {
		t.Errorf("%d revisions of 6 contents", len(seen))
	}
	if !Declared(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{Label: "true"}}}) ||
		Declared(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{Label: "false"}}}) {
		t.Error("only the value true makes a policy")
	}
}

// A slip in the label's value is told; what is no policy, or is switched off, passes in silence.
func TestMislabelled(t *testing.T) {
	const slip = `label wasmesh.dev/policy is "yes": a policy has "true"`
	for _, test := range []struct {
		labels map[string]string
		key    string
		want   string
	}{
		{map[string]string{Label: "yes"}, "p.wasm", slip},
		{map[string]string{Label: "yes"}, "p.wasm.gz", slip},
		{map[string]string{Label: ""}, "p.wasm", `label wasmesh.dev/policy is "": a policy has "true"`},
		{map[string]string{Label: "yes"}, "p.zip", ""},
		{map[string]string{Label: "true"}, "p.wasm", ""},
		{map[string]string{Label: "false"}, "p.wasm", ""},
		{nil, "p.wasm", ""},
	} {
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Labels: test.labels}, BinaryData: map[string][]byte{test.key: {0}}}
		if got := Mislabelled(cm); got != test.want {
			t.Errorf("%v with %s: %q, want %q", test.labels, test.key, got, test.want)
		}
	}
}
