package resources

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wasmesh/wasmesh/sdk/meshcert"
)

func TestClientCertificates(t *testing.T) {
	for _, tt := range []struct {
		auth string
		ca   bool
		want string
	}{
		{"", true, "--tls-client-auth=none"},
		{"optional", false, "--tls-client-auth=optional"},
		{"require", true, "--tls-client-auth=require --tls-client-ca-file=/opt/kserve/mmesh/tls/ca.crt"},
	} {
		m := mesh(t, "tls: {secretName: s, clientAuth: '"+tt.auth+"'}")
		m.TLSSecret = &TLSSecret{HasCA: tt.ca}
		if got := strings.Join(m.tlsArguments()[2:], " "); got != tt.want {
			t.Errorf("%s: %s", tt.auth, got)
		}
	}
}

func TestReadTLSSecret(t *testing.T) {
	secret := func(keys ...string) *corev1.Secret {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "certificates"}, Data: map[string][]byte{"ca.crt": {}}}
		for _, key := range keys {
			s.Data[key] = []byte("x")
		}
		return s
	}
	for _, tt := range []struct {
		secret *corev1.Secret
		want   *TLSSecret
		err    string
	}{
		{secret("tls.crt", "tls.key"), &TLSSecret{}, ""},
		{secret("tls.crt", "tls.key", "ca.crt"), &TLSSecret{HasCA: true}, ""},
		{chain(t, "leaf", "somebody"), &TLSSecret{}, ""},
		{chain(t, "self", "self"), &TLSSecret{OwnAuthority: true}, ""},
		{secret("tls.crt"), nil, "secret certificates has no tls.key: tls.secretName wants one with tls.crt, tls.key and perhaps ca.crt"},
		{secret("ca.crt"), nil, "secret certificates has no tls.crt: tls.secretName wants one with tls.crt, tls.key and perhaps ca.crt\n" +
			"secret certificates has no tls.key: tls.secretName wants one with tls.crt, tls.key and perhaps ca.crt"},
	} {
		got, err := ReadTLSSecret(tt.secret)
		message := ""
		if err != nil {
			message = err.Error()
		}
		if !reflect.DeepEqual(got, tt.want) || message != tt.err {
			t.Errorf("%v: %v, %q", tt.secret.Data, got, message)
		}
	}
}

// chain is a Secret with the certificate of a subject that an issuer has signed.
func chain(t *testing.T, subject, issuer string) *corev1.Secret {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	named := func(name string) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	}
	der, err := x509.CreateCertificate(rand.Reader, named(subject), named(issuer), key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.Secret{Data: map[string][]byte{"tls.crt": meshcert.Encode([]*x509.Certificate{cert}), "tls.key": []byte("x")}}
}

// Nothing is made of a Secret with which no host would start.
func TestTLSProblem(t *testing.T) {
	const noCA = "the Secret s of namespace models has no ca.crt, which tls.clientAuth require verifies clients against, and its tls.crt " +
		"is not its own authority: add ca.crt to it, or leave tls.clientAuth out"
	for _, tt := range []struct {
		name, settings string
		secret         *TLSSecret
		fault          error
		want           string
	}{
		{"none asked for", "", nil, nil, ""},
		{"not there", "tls: {secretName: s}", nil, nil, "the Secret s, which tls.secretName names, cannot be used: it has to be in the namespace models, with tls.crt and tls.key"},
		{"known why", "tls: {secretName: s}", nil, errors.New("why"), "why"},
		{"no clients verified", "tls: {secretName: s}", &TLSSecret{}, nil, ""},
		{"an authority", "tls: {secretName: s, clientAuth: require}", &TLSSecret{HasCA: true}, nil, ""},
		{"its own authority", "tls: {secretName: s, clientAuth: require}", &TLSSecret{OwnAuthority: true}, nil, ""},
		{"no authority", "tls: {secretName: s, clientAuth: require}", &TLSSecret{}, nil, noCA},
		{"no authority", "tls: {secretName: s, clientAuth: optional}", &TLSSecret{}, nil, strings.Replace(noCA, "require", "optional", 1)},
	} {
		m := mesh(t, tt.settings)
		m.TLSSecret, m.TLSFault = tt.secret, tt.fault
		got := ""
		if err := m.TLSProblem(); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %q; want %q", tt.name, got, tt.want)
		}
		_, err := Deployment(m, custom(t, "r", `{grpcEndpoint: "port:8085", containers: [{name: c, resources: {limits: {memory: 1Gi}}}]}`), nil)
		if (err != nil) != (tt.want != "") {
			t.Errorf("%s: the Deployment: %v", tt.name, err)
		}
	}
}
