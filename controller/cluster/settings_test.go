package cluster

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/wasmesh/wasmesh/controller/config"
)

// A controller that is started anew while its ConfigMap is wrong goes on as before, and does not rename what serves.
func TestFirstConfig(t *testing.T) {
	const good, other, bad = "inferenceServiceName: mine", "inferenceServiceName: other", "podsPerRuntime: many"
	for name, test := range map[string]struct {
		defaults, user, kept, service, text string
	}{
		"none":                      {"", "", "", "modelmesh-serving", ""},
		"a good one":                {"", good, other, "mine", good},
		"a bad one":                 {"", bad, good, "mine", good},
		"removed":                   {"", "", good, "modelmesh-serving", ""},
		"a bad one at first":        {other, bad, "", "other", ""},
		"a bad one was kept":        {other, bad, bad, "other", bad},
		"nothing can be followed":   {bad, good, good, "modelmesh-serving", good},
		"bad defaults stand before": {bad, "", "", "modelmesh-serving", ""},
	} {
		t.Run(name, func(t *testing.T) {
			configMap := func(name, key, text string) *corev1.ConfigMap {
				return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "own", Name: name}, Data: map[string]string{key: text}}
			}
			live := fake.NewClientBuilder().WithObjects(configMap("settings", config.Key, test.user), configMap(stateName, keyConfig, test.kept)).Build()
			settings, text, err := firstConfig(t.Context(), live, Config{
				Namespace: "own", ConfigMap: "settings", Defaults: []byte(test.defaults), Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil || settings.InferenceServiceName != test.service || text != test.text {
				t.Errorf("Service %s of %q, %v; want %s of %q", settings.InferenceServiceName, text, err, test.service, test.text)
			}
		})
	}
}

// A Secret that must not be watched would keep the controller from ever starting.
func TestTheStorageSecretMayBeWatched(t *testing.T) {
	for name, test := range map[string]struct {
		answer error
		want   string
		fails  bool
	}{
		"it may":         {nil, "mine", false},
		"it must not":    {apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "mine", errors.New("no")), "of-the-chart", false},
		"nobody answers": {errors.New("connection refused"), "", true},
	} {
		t.Run(name, func(t *testing.T) {
			live := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
				List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
					return test.answer
				},
			}).WithObjects(&corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Namespace: "own", Name: "settings"}, Data: map[string]string{config.Key: "storageSecretName: mine"},
			}).Build()
			settings, _, err := firstConfig(t.Context(), live, Config{
				Namespace: "own", ConfigMap: "settings", Defaults: []byte("storageSecretName: of-the-chart"), Logger: slog.New(slog.DiscardHandler),
			})
			if (err != nil) != test.fails || !test.fails && settings.StorageSecretName != test.want {
				t.Errorf("Secret %s, %v; want %s", settings.StorageSecretName, err, test.want)
			}
		})
	}
}

// What was kept is not written again, and leaves what else is kept as it is.
func TestTheConfigurationIsKept(t *testing.T) {
	writes := 0
	live := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			writes++
			return c.Apply(ctx, o, opts...)
		},
	}).Build()
	s := &state{client: live, namespace: "own", logger: slog.New(slog.DiscardHandler)}
	if _, err := s.nextTerm(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		text   string
		writes int
	}{{"", 1}, {"a: 1", 2}, {"a: 1", 2}, {"", 3}, {"", 3}} {
		if err := s.keepConfig(t.Context(), step.text); err != nil {
			t.Fatal(err)
		}
		kept, err := readConfigMap(t.Context(), live, client.ObjectKey{Namespace: "own", Name: stateName})
		if err != nil || kept[keyConfig] != step.text || kept[keyTerm] == "" || writes != step.writes {
			t.Errorf("step %d: kept %v after %d writes, %v; want %q after %d", i, kept, writes, err, step.text, step.writes)
		}
	}
}
