package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/wasmesh/wasmesh/sdk/meshcert"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// chainOf is the serving certificate.
func chainOf(t *testing.T, p *present) []*x509.Certificate {
	t.Helper()
	return []*x509.Certificate{p.serving.Leaf}
}

// request is for a key, and claims to be the controller.
func request(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: meshcert.Controller}, DNSNames: []string{"wasmesh-controller.wasmesh.svc"},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A certificate says what the token says, whatever the request does.
func TestACertificateSaysWhatTheTokenSays(t *testing.T) {
	a, api, now, said := newTest(t)
	worked(t, a)
	api.pod("a secret token", "models", "pod-1")
	key := newKey(t)
	response, err := a.Issue(t.Context(), &syncv1.IssueRequest{CertificateRequest: request(t, key), Token: "a secret token"})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(response.GetCertificates()[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := meshcert.IsHost(cert, "models", "pod-1"); err != nil {
		t.Error(err)
	}
	if len(cert.DNSNames) > 0 || len(cert.URIs) != 1 || cert.IsCA || cert.Subject.CommonName != "" || !key.PublicKey.Equal(cert.PublicKey) {
		t.Errorf("it says too much: %v %v %q, CA %v", cert.DNSNames, cert.URIs, cert.Subject, cert.IsCA)
	}
	trusted, err := meshcert.Decode([]byte(api.trusted(t, "models")))
	if err != nil {
		t.Fatal(err)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
		if err := meshcert.Verify([]*x509.Certificate{cert}, meshcert.Pool(trusted), usage, now.Now()); err != nil {
			t.Error(err)
		}
	}
	if life := cert.NotAfter.Sub(now.Now()); life > 24*time.Hour || life < 24*time.Hour-time.Second {
		t.Errorf("it lasts %v", life)
	}
	if at := time.UnixMilli(response.GetRenewAtMs()).Sub(now.Now()); at < 15*time.Hour || at > 17*time.Hour {
		t.Errorf("to be renewed after %v", at)
	}
	if len(response.GetAuthorities()) != 1 || string(response.GetAuthorities()[0]) != string(trusted[0].Raw) {
		t.Errorf("%d authorities", len(response.GetAuthorities()))
	}
	if strings.Contains(said.String(), "a secret token") {
		t.Error("the token is in the log")
	}
}

func TestWhoIsGivenNoCertificate(t *testing.T) {
	a, api, _, said := newTest(t)
	worked(t, a)
	api.pod("good", "models", "pod-1")
	good := api.tokens["good"]
	token := func(name string, change func(*authenticationv1.TokenReviewStatus)) string {
		reviewed := *good.DeepCopy()
		change(&reviewed)
		api.tokens[name] = reviewed
		return name
	}
	key := newKey(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	broken := request(t, key)
	broken[len(broken)-1] ^= 1
	for name, c := range map[string]struct {
		token string
		csr   []byte
		want  codes.Code
		says  string
	}{
		"a pod":            {"good", request(t, key), codes.OK, ""},
		"unknown token":    {"unknown", request(t, key), codes.Unauthenticated, "has ended"},
		"no token":         {"", request(t, key), codes.Unauthenticated, "--token-file"},
		"huge token":       {strings.Repeat("x", maxToken+1), request(t, key), codes.Unauthenticated, "too large"},
		"another audience": {token("aud", func(s *authenticationv1.TokenReviewStatus) { s.Audiences = []string{"https://kubernetes.default.svc"} }), request(t, key), codes.Unauthenticated, "audience"},
		"no audience":      {token("noaud", func(s *authenticationv1.TokenReviewStatus) { s.Audiences = nil }), request(t, key), codes.Unauthenticated, "audience"},
		"a user":           {token("user", func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "jane" }), request(t, key), codes.PermissionDenied, "ServiceAccount"},
		"no pod":           {token("nopod", func(s *authenticationv1.TokenReviewStatus) { delete(s.User.Extra, podNameExtra) }), request(t, key), codes.PermissionDenied, "projected"},
		"a namespace without a mesh": {token("ns", func(s *authenticationv1.TokenReviewStatus) {
			s.User.Username = "system:serviceaccount:kube-system:default"
		}),
			request(t, key), codes.PermissionDenied, "modelmesh-enabled=true"},
		"no request":            {"good", nil, codes.InvalidArgument, "missing"},
		"garbage":               {"good", []byte("garbage"), codes.InvalidArgument, "PKCS#10"},
		"a signature of nobody": {"good", broken, codes.InvalidArgument, "signed"},
		"an RSA key":            {"good", request(t, rsaKey), codes.InvalidArgument, "P-256"},
	} {
		_, err := a.Issue(t.Context(), &syncv1.IssueRequest{CertificateRequest: c.csr, Token: c.token})
		if status.Code(err) != c.want || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %s that says %q", name, err, c.want, c.says)
		}
	}
	if strings.Contains(said.String(), "xxxx") {
		t.Error("a token is in the log")
	}
	api.fail["create"] = errors.New("no reviews today")
	if _, err := a.Issue(t.Context(), &syncv1.IssueRequest{CertificateRequest: request(t, key), Token: "good"}); status.Code(err) != codes.Unavailable {
		t.Errorf("while the API server reviews nothing: %v", err)
	}
	delete(api.fail, "create")
	for range maxReviews {
		a.reviews <- struct{}{}
	}
	if _, err := a.Issue(t.Context(), &syncv1.IssueRequest{CertificateRequest: request(t, key), Token: "good"}); status.Code(err) != codes.Unavailable {
		t.Errorf("with all reviews under way: %v", err)
	}
}

// A controller that does not know the namespaces yet refuses nobody for good.
func TestBeforeTheNamespacesAreKnown(t *testing.T) {
	api := newCluster()
	api.pod("good", "models", "pod-1")
	a, _, _, _ := newTest(t)
	fresh, err := New(Config{Namespace: "wasmesh", Client: api, Logger: a.logger})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fresh.Issue(t.Context(), &syncv1.IssueRequest{CertificateRequest: request(t, newKey(t)), Token: "good"}); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
}
