package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/wasmesh/wasmesh/host/identity/identitytest"
	"github.com/wasmesh/wasmesh/host/tlsfiles"
	"github.com/wasmesh/wasmesh/runtimes/fake"
	"github.com/wasmesh/wasmesh/sdk/meshcert"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// secure has a rig's controller issue certificates, and its sync service behind TLS; hosts are started with what answer
// returns.
func (r *rig) secure() func(*Config) {
	r.t.Helper()
	authority, err := identitytest.New("mesh")
	if err != nil {
		r.t.Fatal(err)
	}
	issuer := &identitytest.Controller{Authority: authority}
	serverTLS, err := issuer.ServerTLS()
	if err != nil {
		r.t.Fatal(err)
	}
	r.listen(func(server *grpc.Server) { syncv1.RegisterIdentityServiceServer(server, issuer) }, grpc.Creds(credentials.NewTLS(serverTLS)))
	ca := filepath.Join(r.dir, "ca.crt")
	r.write(ca, authority.PEM())
	return func(c *Config) {
		c.CAFile, c.TokenFile, c.Controller = ca, filepath.Join(r.dir, c.HostID+".token"), r.address
		r.write(c.TokenFile, []byte(c.Namespace+"/"+c.HostID+"\n"))
	}
}

func (r *rig) write(path string, content []byte) {
	r.t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// metric is the sum of a counter of a host over its labels that match, "" any.
func (h *rigHost) metric(t *testing.T, name, label string) (sum float64) {
	t.Helper()
	families, err := h.node.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && (label == "" || len(m.GetLabel()) > 0 && m.GetLabel()[0].GetValue() == label) {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// With certificates from the controller hosts are one mesh: requests pass between them, and each model is loaded once.
func TestAMeshOverMutualTLS(t *testing.T) {
	r := newRig(t)
	secure := r.secure()
	models := modelNames(6)
	for _, id := range []string{"r-0", "r-1", "r-2"} {
		r.start(id, secure)
	}
	r.together()
	for _, m := range models {
		r.model(m, fake.Artifact{SizeBytes: 1 << 20})
	}
	for _, h := range r.hosts {
		for _, m := range models {
			r.must(h, m)
		}
	}
	if got := r.loads(); got != len(models) {
		t.Errorf("%d loads of %d models", got, len(models))
	}
	proxied := 0.0
	for id, h := range r.hosts {
		if n := h.metric(t, "wasmesh_certificate_refused_total", ""); n > 0 {
			t.Errorf("%s refused %v certificates", id, n)
		}
		proxied += h.metric(t, "wasmesh_proxied_requests_total", "")
	}
	// Each model is on one host, and was asked for through all three.
	if proxied < float64(2*len(models)) {
		t.Errorf("%v requests passed between hosts", proxied)
	}
	// In plain text nobody gets in, token or not.
	first := r.hosts["r-0"]
	plain, err := http.Post("http://"+first.node.peer.Addr().String()+"/inference.GRPCInferenceService/ModelInfer", "application/grpc", strings.NewReader(""))
	if err == nil && plain.StatusCode != http.StatusBadRequest {
		t.Errorf("plain text is answered with %s", plain.Status)
	}
}

// While the controller gives it no certificate, a host that starts again serves what it has on disk, and is neither ready
// nor anybody's peer.
func TestAHostWithoutACertificate(t *testing.T) {
	r := newRig(t)
	secure := r.secure()
	r.model("m", fake.Artifact{SizeBytes: 1 << 20})
	r.start("r-0", secure)
	before := r.start("r-1", secure)
	r.together()
	r.end(before)
	again := r.start("r-1", secure, func(c *Config) { c.TokenFile += ".gone" })
	r.must(again, "m")
	if again.node.ready() {
		t.Error("it says that it is ready")
	}
	if m := r.hosts["r-0"].node.peers.View().Find("r-1"); m != nil && m.Live {
		t.Error("it is live for another host")
	}
}

// The gRPC and REST listeners with a certificate, as ModelMesh's TLS secret has it; and with certificates of clients.
func TestClientsOverTLS(t *testing.T) {
	authority, err := identitytest.New("clients")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	cert, key := filepath.Join(r.dir, "tls.crt"), filepath.Join(r.dir, "tls.key")
	serving := writePair(t, authority, cert, key)
	ca := filepath.Join(r.dir, "clients.crt")
	r.write(ca, authority.PEM())
	r.model("m", fake.Artifact{SizeBytes: 1 << 20})
	own, err := authority.Pair("spiffe://somebody", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for auth, answered := range map[string]map[bool]bool{ // by whether the client has a certificate
		tlsfiles.None: {true: true, false: true}, tlsfiles.Optional: {true: true, false: true}, tlsfiles.Require: {true: true, false: false},
	} {
		h := r.start("r-"+auth, func(c *Config) {
			c.MeshKeyFile = ""
			c.TLS = tlsfiles.Config{CertFile: cert, KeyFile: key, ClientCAFile: ca, ClientAuth: auth}
		})
		for has, want := range answered {
			settings := &tls.Config{RootCAs: serving, ServerName: "localhost"}
			if has {
				settings.Certificates = []tls.Certificate{own}
			}
			if err := h.inferOver(t, settings); (err == nil) != want {
				t.Errorf("%s, gRPC, certificate %v: %v", auth, has, err)
			}
			if err := h.restOver(settings); (err == nil) != want {
				t.Errorf("%s, REST, certificate %v: %v", auth, has, err)
			}
		}
		if err := h.inferOver(t, &tls.Config{ServerName: "localhost"}); err == nil {
			t.Errorf("%s: a client that does not know the authority is answered", auth)
		}
		if response, err := http.Get("http://" + h.node.rest.Addr().String() + "/v2/health/live"); err == nil && response.StatusCode == http.StatusOK {
			t.Errorf("%s: plain text is answered", auth)
		}
		r.end(h)
	}
}

// writePair writes a certificate for localhost with its key, and answers what clients are to trust.
func writePair(t *testing.T, authority *identitytest.Authority, cert, key string) *x509.CertPool {
	t.Helper()
	pair, err := authority.Pair("spiffe://server", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := identitytest.Write(pair, cert, key); err != nil {
		t.Fatal(err)
	}
	return meshcert.Pool([]*x509.Certificate{authority.Cert})
}

func (h *rigHost) inferOver(t *testing.T, settings *tls.Config) error {
	conn, err := grpc.NewClient("passthrough:///"+h.node.grpc.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(settings.Clone())))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = (&rigHost{client: inference.NewGRPCInferenceServiceClient(conn)}).ask(t.Context(), "m")
	return err
}

func (h *rigHost) restOver(settings *tls.Config) error {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: settings.Clone(), DisableKeepAlives: true}}
	response, err := client.Get("https://" + h.node.rest.Addr().String() + "/v2/models/m/ready")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// The kubelet asks for /prestop before it stops the runtime, and signals the host: that answers when nothing is loaded any
// more.
func TestPrestopIsAnsweredWhenTheHostHasUnloaded(t *testing.T) {
	r := newRig(t)
	models := modelNames(4)
	for _, m := range models {
		r.model(m, fake.Artifact{SizeBytes: 1 << 20})
	}
	leaving := r.start("r-0", func(c *Config) { c.PrestopAddress = "127.0.0.1:0" })
	for _, m := range models {
		r.must(leaving, m)
	}
	stays := r.start("r-1")
	r.together()
	address := leaving.node.pages[len(leaving.node.pages)-1].listener.Addr().String()
	done := make(chan string, 2)
	for range 2 { // Each of a runtime's containers has the hook.
		go func() {
			response, err := http.Get("http://" + address + "/prestop")
			if err != nil {
				done <- err.Error()
				return
			}
			defer response.Body.Close()
			content, _ := io.ReadAll(response.Body)
			done <- response.Status + " " + string(content)
		}()
	}
	leaving.stop()
	for range 2 {
		if got := <-done; got != "200 OK drained and unloaded\n" {
			t.Errorf("/prestop: %s", got)
		}
	}
	if loaded := leaving.runtime.Loaded(); len(loaded) > 0 {
		t.Errorf("%v are still loaded", loaded)
	}
	<-leaving.ended
	delete(r.hosts, "r-0")
	if leaving.err != nil {
		t.Error(leaving.err)
	}
	for _, m := range models {
		r.must(stays, m)
	}
	if loads := stays.runtime.Calls().LoadsDone; loads != len(models) {
		t.Errorf("%d loads on the other host, want %d", loads, len(models))
	}
}

// A runtime whose probe failed is started again, by itself: its hook, or whoever reaches the page, does not end the host.
func TestPrestopOfAHostThatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(Config{}, slog.New(slog.DiscardHandler))
		answer := httptest.NewRecorder()
		n.prestopHandler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/prestop", nil))
		if got := answer.Body.String(); got != "this host stays\n" {
			t.Errorf("/prestop: %q", got)
		}
		select {
		case <-n.leaving:
			t.Error("the host leaves")
		default:
		}
	})
}

// Two keys are accepted while one replaces the other, and no link breaks.
func TestTheKeyOfTheMeshIsReplaced(t *testing.T) {
	r := newRig(t)
	r.model("m", fake.Artifact{SizeBytes: 1 << 20})
	for _, id := range []string{"r-0", "r-1"} {
		r.start(id)
	}
	r.together()
	old, err := readMeshKeys(r.keyFile())
	if err != nil {
		t.Fatal(err)
	}
	used, fresh := hex.EncodeToString(old[0]), strings.Repeat("00", len(old[0]))
	once, cancel := context.WithCancel(t.Context())
	cancel()
	for _, keys := range []string{used + "\n" + fresh, fresh + "\n" + used, fresh} {
		r.write(r.keyFile(), []byte(keys))
		for _, h := range r.hosts {
			if err := h.node.followKey(once, time.Hour); err != nil {
				t.Fatal(err)
			}
			for _, asked := range r.hosts {
				r.must(asked, "m")
			}
		}
	}
	for id, h := range r.hosts {
		if n := h.metric(t, "wasmesh_peer_refused_total", ""); n > 0 {
			t.Errorf("%s refused %v", id, n)
		}
	}
	r.start("r-2") // It knows the new key only.
	r.together()
}
