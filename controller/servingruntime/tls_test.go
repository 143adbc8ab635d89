package servingruntime

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/wasmesh/wasmesh/controller/config"
)

// The Secret may be there, and be none that the chart lets the controller read: to say that it is not there would have its
// owner make it again and again.
func TestTLSSecretThatMayNotBeRead(t *testing.T) {
	b := newFakeBench(t, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if _, isSecret := o.(*corev1.Secret); isSecret && key.Name == "certificate" {
				return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, key.Name, errors.New("not granted"))
			}
			return c.Get(ctx, key, o, opts...)
		},
	})
	b.config.TLS = config.TLS{SecretName: "certificate"}
	b.runtime("a", "sklearn")
	result, err := b.reconcile("a")
	if err != nil || result.RequeueAfter != unusableSecretInterval {
		t.Errorf("%+v, %v; want that it is looked at again", result, err)
	}
	const want = "the controller may not read Secret certificate of namespace ns, which tls.secretName names: add it to rbac.secretNames of the chart"
	if len(b.events) != 1 || b.events[0].Reason != EventNotDeployed || !strings.Contains(b.events[0].Message, want) {
		t.Errorf("Events %+v; want one that says %q", b.events, want)
	}
}

// Hosts that verify clients do not start without an authority to verify them by. A Secret gets it later than the rest when
// whoever makes it writes the parts one by one, and nobody watches it.
func TestClientAuthority(t *testing.T) {
	b := newBench(t)
	b.config.TLS = config.TLS{SecretName: "certificate", ClientAuth: config.ClientAuthRequire}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: "certificate"},
		Data:       map[string][]byte{"tls.crt": []byte("x"), "tls.key": []byte("x")},
	}
	b.create(secret)
	b.runtime("a", "sklearn")
	b.model("m", "sklearn")
	b.round()
	b.wantPods("a", -1)
	wantComplaint := func() {
		t.Helper()
		if n := len(b.events); n == 0 || b.events[n-1].Reason != EventNotDeployed || !strings.Contains(b.events[n-1].Message, "has no ca.crt") {
			t.Errorf("Events %+v; want the last to name ca.crt", b.events)
		}
	}
	wantComplaint()

	b.edited("certificate", &corev1.Secret{}, `{"data":{"ca.crt":"eA=="}}`)
	b.pass(unusableSecretInterval + time.Second)
	b.wantPods("a", 2)
	d := &appsv1.Deployment{}
	b.get("modelmesh-serving-a", d)
	args := d.Spec.Template.Spec.Containers[1].Args
	if !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--tls-client-ca-file=") }) {
		t.Errorf("arguments %q; want the authority among them", args)
	}
	b.atRest()
	if b.due.After(b.now.Add(usableSecretInterval)) || b.due.IsZero() {
		t.Errorf("looked at again at %v; want that it is soon", b.due)
	}

	// One that loses it leaves pods as they are, and its owner hears of it.
	b.edited("certificate", &corev1.Secret{}, `{"data":{"ca.crt":null}}`)
	b.pass(usableSecretInterval + time.Second)
	wantComplaint()
	before := d.ResourceVersion
	if b.get("modelmesh-serving-a", d); d.ResourceVersion != before {
		t.Error("the Deployment was changed")
	}
	b.atRest()
}
