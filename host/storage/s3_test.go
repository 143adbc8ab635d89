package storage_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"log"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
	"golang.org/x/sync/errgroup"

	"github.com/wasmesh/wasmesh/host/storage"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/test/installed"
	"github.com/wasmesh/wasmesh/test/s3server"
)

// The tutorial's credentials, which may appear in no message.
const (
	accessKey  = "AKIAIOSFODNN7EXAMPLE"
	secretKey  = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	bucketName = "modelmesh-example-models"
)

// s3 is a running S3 server with one bucket, and a store that reads it.
type s3 struct {
	*testing.T
	server *s3server.Server
	bucket *blob.Bucket
	store  *storage.Store
	models string
}

func startS3(t *testing.T, cfg storage.Config) *s3 {
	t.Helper()
	server, err := s3server.Start(t.Context(), s3server.Config{
		Binary: installed.Tool(t, "versitygw"), Dir: t.TempDir(), AccessKey: accessKey, SecretKey: secretKey,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	if err := server.MakeBucket(bucketName); err != nil {
		t.Fatal(err)
	}
	bucket, err := server.Bucket(t.Context(), bucketName)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bucket.Close() })
	cfg.ModelsDir = filepath.Join(t.TempDir(), "models")
	if cfg.DiskBudgetBytes == 0 {
		cfg.DiskBudgetBytes = 1 << 30
	}
	store, err := storage.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	s := &s3{T: t, server: server, bucket: bucket, store: store, models: cfg.ModelsDir}
	s.secret(nil)
	return s
}

// secret sets the entry "minio", with changes; an empty value takes a setting away.
func (s *s3) secret(changes map[string]string) {
	entry := map[string]string{
		"type": "s3", "access_key_id": accessKey, "secret_access_key": secretKey, "endpoint_url": s.server.URL(),
		"bucket": bucketName, "region": "us-east-1",
	}
	maps.Copy(entry, changes)
	maps.DeleteFunc(entry, func(_, v string) bool { return v == "" })
	data, err := json.Marshal(entry)
	if err != nil {
		s.Fatal(err)
	}
	s.store.SetCredentials(map[string][]byte{"minio": data})
}

// put goes by the SDK: s3blob would spell some keys in its own way.
func (s *s3) put(key, data string) {
	s.Helper()
	var client *awss3.Client
	if !s.bucket.As(&client) {
		s.Fatal("no S3 client")
	}
	_, err := client.PutObject(s.Context(), &awss3.PutObjectInput{
		Bucket: aws.String(bucketName), Key: aws.String(key), Body: strings.NewReader(data),
	})
	if err != nil {
		s.Error(err) // also called by handlers
	}
}

func ref(path string) *syncv1.StorageReference {
	return &syncv1.StorageReference{SecretKey: "minio", Path: path}
}

// pull fails the test if the model does not come; it answers its files by their paths below Artifact.Path ("." for a
// file).
func (s *s3) pull(id, path string) map[string]string {
	s.Helper()
	a, err := s.store.Pull(s.Context(), id, ref(path))
	if err != nil {
		s.Fatalf("pull %s: %v", path, err)
	}
	got := map[string]string{}
	err = filepath.WalkDir(a.Path, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(a.Path, name)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(name)
		got[rel] = string(data)
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	return got
}

// wantError checks a failed pull: its kind, what it says, and what it must not say.
func (s *s3) wantError(path string, kind storage.Kind, parts ...string) {
	s.Helper()
	_, err := s.store.Pull(s.Context(), "bad", ref(path))
	if storage.KindOf(err) != kind {
		s.Errorf("error %v (kind %v), want kind %v", err, storage.KindOf(err), kind)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			s.Errorf("error %q does not say %q", err, part)
		}
	}
	for _, secret := range []string{accessKey, secretKey, "wrong-secret"} {
		if strings.Contains(err.Error(), secret) {
			s.Errorf("error %q holds a credential", err)
		}
	}
}

// front puts an HTTP proxy between store and server; handle may answer a request itself.
func (s *s3) front(handle func(w http.ResponseWriter, r *http.Request, pass http.Handler)) *httptest.Server {
	target, err := url.Parse(s.server.URL())
	if err != nil {
		s.Fatal(err)
	}
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}}
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handle(w, r, pass)
	}))
	front.Config.ErrorLog = log.New(io.Discard, "", 0) // says what the tests do on purpose
	s.Cleanup(front.Close)
	return front
}

func (s *s3) startFront(handle func(w http.ResponseWriter, r *http.Request, pass http.Handler)) {
	front := s.front(handle)
	front.Start()
	s.secret(map[string]string{"endpoint_url": front.URL})
}

func isObject(r *http.Request) bool { return strings.Count(strings.Trim(r.URL.Path, "/"), "/") > 0 }

func bigObject() string {
	data := make([]byte, 3<<20+17)
	random := rand.New(rand.NewPCG(3, 4))
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return string(data)
}

func TestS3Layout(t *testing.T) {
	s := startS3(t, storage.Config{PartBytes: 256 << 10})
	big := bigObject()
	for key, data := range map[string]string{
		"m/w": big, "m/pkg/__init__.py": "", "m/odd name+&=%41/ü__0x2f__.bin": "odd", "m-2/x": "no", "m2": "no", "single": "1",
	} {
		s.put(key, data)
	}
	got := s.pull("one", "m")
	if want := map[string]string{"w": big, "pkg/__init__.py": "", "odd name+&=%41/ü__0x2f__.bin": "odd"}; !maps.Equal(got, want) {
		delete(got, "w")
		t.Errorf("pulled, beside the large file, %q", got)
	}
	if got := s.pull("two", "single"); got["."] != "1" {
		t.Errorf("single file is %q", got)
	}
	n, objects, err := s.store.Size(t.Context(), ref("m"))
	if err != nil || n != int64(len(big))+3 || objects != 3 {
		t.Errorf("size %d of %d objects, %v", n, objects, err)
	}
	// The older spellings of a Secret, and no region.
	s.secret(map[string]string{
		"access_key_id": "", "access_key": accessKey, "bucket": "", "default_bucket": bucketName, "region": "",
	})
	if got := s.pull("three", "single"); got["."] != "1" {
		t.Errorf("single file is %q", got)
	}
}

// TestS3ManyObjects: a directory larger than one page of a listing.
func TestS3ManyObjects(t *testing.T) {
	s := startS3(t, storage.Config{})
	want := map[string]string{}
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(16)
	for i := range 1037 {
		name := fmt.Sprintf("part-%04d", i)
		want[name] = fmt.Sprint(i)
		group.Go(func() error { return s.bucket.WriteAll(ctx, "m/"+name, []byte(fmt.Sprint(i)), nil) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := s.pull("id", "m"); !maps.Equal(got, want) {
		t.Errorf("pulled %d files, want %d", len(got), len(want))
	}
}

// TestS3Changes: bytes that changed at one path, at the same length, are seen; unchanged ones are not fetched again.
func TestS3Changes(t *testing.T) {
	s := startS3(t, storage.Config{})
	s.put("m/a", "stays")
	s.put("m/b", "old")
	s.pull("one", "m")
	s.put("m/b", "new")
	if got := s.pull("two", "m"); got["a"] != "stays" || got["b"] != "new" {
		t.Errorf("pulled %q", got)
	}
	if st := s.store.Stats(); st.FetchedBytes != 11 || st.ReusedBytes != 5 {
		t.Errorf("stats %+v", st)
	}
}

func TestS3Errors(t *testing.T) {
	s := startS3(t, storage.Config{})
	s.put("m/a", "1")
	endpoint := s.server.URL()
	s.wantError("nothing/here", storage.NotFound, "no objects under s3://"+bucketName+"/nothing/here", endpoint, `entry "minio"`)
	s.wantError("m/../../x", storage.Misconfigured, "storage path")

	s.secret(map[string]string{"bucket": "no-such-bucket"})
	s.wantError("m", storage.NotFound, "s3://no-such-bucket/m", endpoint, "NoSuchBucket", `entry "minio"`)
	s.secret(map[string]string{"secret_access_key": "wrong-secret"})
	s.wantError("m", storage.Denied, "s3://"+bucketName+"/m", endpoint, "SignatureDoesNotMatch", "check", `entry "minio"`)
	s.secret(map[string]string{"access_key_id": "AKIAWRONG"})
	s.wantError("m", storage.Denied, "denied", "check") // this server says it in a code of its own
	s.secret(map[string]string{"region": "eu-central-1"})
	s.wantError("m", storage.Misconfigured, "AuthorizationHeaderMalformed", "region")
	s.secret(map[string]string{"bucket": ""})
	s.wantError("m", storage.Misconfigured, `needs "bucket"`)

	s.secret(nil) // good again, with the same store
	if got := s.pull("good", "m"); got["a"] != "1" {
		t.Errorf("pulled %q", got)
	}
}

// TestS3Identity: without keys, and with no identity of the host's own, access is anonymous; the server does not
// allow it.
func TestS3Identity(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	s := startS3(t, storage.Config{})
	s.put("m", "1")
	noKeys := map[string]string{"access_key_id": "", "secret_access_key": ""}
	s.secret(noKeys)
	s.wantError("m", storage.Denied, "AccessDenied")

	// The host's identity appears, as a mounted token would. The refused client is not kept, so it is found.
	t.Setenv("AWS_ACCESS_KEY_ID", accessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
	if got := s.pull("id", "m"); got["."] != "1" {
		t.Errorf("pulled %q", got)
	}
	// It is not shown to an endpoint that the model's owner chose.
	foreign := ref("m")
	foreign.Parameters = map[string]string{"endpoint_url": s.server.URL() + "/"}
	_, err := s.store.Pull(t.Context(), "foreign", foreign)
	if storage.KindOf(err) != storage.Denied {
		t.Errorf("pull from a foreign endpoint: %v, want it denied", err)
	}
}

// TestS3Endpoints: what stands at the endpoint is not an S3 server that we can talk to.
func TestS3Endpoints(t *testing.T) {
	s := startS3(t, storage.Config{})
	s.put("m", "1")
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<html><body>Welcome!</body>")
	}))
	defer web.Close()
	s.secret(map[string]string{"endpoint_url": web.URL})
	s.wantError("m", storage.Misconfigured, "does not answer as an S3 server does", web.URL)
	s.secret(map[string]string{"endpoint_url": "https://" + strings.TrimPrefix(web.URL, "http://")})
	s.wantError("m", storage.Misconfigured, "HTTP response to HTTPS client", "use http://")
	gone := httptest.NewServer(nil)
	gone.Close()
	s.secret(map[string]string{"endpoint_url": gone.URL})
	s.wantError("m", storage.Unavailable, gone.URL, "connection refused")

	redirect := httptest.NewServer(http.RedirectHandler(s.server.URL(), http.StatusTemporaryRedirect))
	defer redirect.Close()
	s.secret(map[string]string{"endpoint_url": redirect.URL})
	s.wantError("m", storage.Misconfigured, "Temporary Redirect")

	secure := s.front(func(w http.ResponseWriter, r *http.Request, pass http.Handler) { pass.ServeHTTP(w, r) })
	secure.StartTLS()
	s.secret(map[string]string{"endpoint_url": secure.URL})
	s.wantError("m", storage.Misconfigured, "certificate")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	s.secret(map[string]string{"endpoint_url": secure.URL, "certificate": string(ca)})
	if got := s.pull("tls", "m"); got["."] != "1" {
		t.Errorf("pulled %q", got)
	}
}

// cutWriter breaks the connection after some bytes of the body.
type cutWriter struct {
	http.ResponseWriter
	left int
}

func (w *cutWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p[:min(len(p), w.left)])
	if w.left -= n; w.left == 0 {
		http.NewResponseController(w.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// TestS3BrokenConnections: connections that break in the middle of a body cost no byte twice, and give the right bytes.
func TestS3BrokenConnections(t *testing.T) {
	s := startS3(t, storage.Config{PartBytes: 1 << 20})
	big := bigObject()
	s.put("m", big)
	var requests atomic.Int64
	s.startFront(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if isObject(r) {
			requests.Add(1)
			w = &cutWriter{w, 700_000}
		}
		pass.ServeHTTP(w, r)
	})
	if got := s.pull("id", "m"); got["."] != big {
		t.Error("other bytes came than were put")
	}
	// Each full range breaks once; the fourth range is a few bytes.
	if n := requests.Load(); n != 7 {
		t.Errorf("%d requests, want 7", n)
	}
}

// TestS3ReplacedObject: an object replaced between two ranges comes whole, in its new version, also from a server or
// a cache in front of it that ignores If-Match.
func TestS3ReplacedObject(t *testing.T) {
	for _, ignore := range []bool{false, true} {
		t.Run(fmt.Sprintf("ignoring If-Match=%v", ignore), func(t *testing.T) {
			s := startS3(t, storage.Config{PartBytes: 1 << 20, PullConcurrency: 1})
			before := bigObject()
			after := strings.Repeat("x", len(before))
			s.put("m", before)
			var reads atomic.Int64
			s.startFront(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
				if isObject(r) {
					if r.Header.Get("If-Match") == "" {
						t.Error("a read is not pinned to a version")
					}
					if reads.Add(1) == 2 {
						s.put("m", after)
					}
					if ignore {
						r = unconditional(t, s, r)
						if r == nil {
							http.Error(w, "", http.StatusInternalServerError)
							return
						}
					}
				}
				pass.ServeHTTP(w, r)
			})
			if got := s.pull("id", "m"); got["."] != after {
				t.Error("the model is neither wholly the old object nor wholly the new")
			}
		})
	}
}

// unconditional asks for the same range anew, without the condition, by a signature of its own.
func unconditional(t *testing.T, s *s3, r *http.Request) *http.Request {
	t.Helper()
	signed, err := s.bucket.SignedURL(r.Context(), strings.TrimPrefix(r.URL.Path, "/"+bucketName+"/"), nil)
	if err != nil {
		t.Error(err)
		return nil
	}
	out, err := http.NewRequestWithContext(r.Context(), http.MethodGet, signed, nil)
	if err != nil {
		t.Error(err)
		return nil
	}
	out.Header.Set("Range", r.Header.Get("Range"))
	return out
}

// TestS3ServerInTrouble: a server that fails now and then is asked again; one that only fails is given up, and the
// pull says that trying again makes sense.
func TestS3ServerInTrouble(t *testing.T) {
	s := startS3(t, storage.Config{})
	s.put("m", "data")
	var calls, broken atomic.Int64
	s.startFront(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if calls.Add(1) <= broken.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		pass.ServeHTTP(w, r)
	})
	broken.Store(1)
	if got := s.pull("id", "m"); got["."] != "data" {
		t.Errorf("pulled %q", got)
	}
	broken.Store(1 << 40)
	s.wantError("m", storage.Unavailable, "Service Unavailable", "tried again")
}

// TestS3Cancel: a pull that is cancelled while the server holds its answer back ends, and leaves nothing.
func TestS3Cancel(t *testing.T) {
	s := startS3(t, storage.Config{})
	s.put("m", "data")
	started := make(chan struct{}, 10)
	s.startFront(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if !isObject(r) {
			pass.ServeHTTP(w, r)
			return
		}
		started <- struct{}{}
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-started
		cancel()
	}()
	if _, err := s.store.Pull(ctx, "id", ref("m")); ctx.Err() == nil || err == nil {
		t.Fatalf("pull ended with %v", err)
	}
	if entries, err := os.ReadDir(s.models); err != nil || len(entries) != 1 {
		t.Errorf("models directory holds %v, %v", entries, err)
	}
	if st := s.store.Stats(); st.UsedBytes != 0 {
		t.Errorf("stats %+v", st)
	}
}
