package storage

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func TestResolve(t *testing.T) {
	secret := map[string][]byte{
		"localMinIO": []byte(`{"type":"s3","access_key_id":"A","secret_access_key":"S","endpoint_url":"http://minio:9000",` +
			`"default_bucket":"models","region":"us-south"}`),
		"seeds":      []byte(`{"type":"s3","access_key":"A","secret_access_key":"S","bucket":"b","default_bucket":"old"}`),
		"web":        []byte(`{"type":"http","url":"https://h","headers":{"Accept":["a","b"],"X":"1"},"retries":3}`),
		"default":    []byte(`{"type":"s3","bucket":"fallback"}`),
		"default_gc": []byte(`{"type":"gc","bucket":"g"}`),
		"untyped":    []byte(`{"bucket":"b"}`),
		"broken":     []byte(`{"type":"s3","secret_access_key":"HUSHHUSH`),
		"list":       []byte(`["HUSHHUSH"]`),
		"null":       []byte(`null`),
	}
	tests := map[string]struct {
		key    string
		params map[string]string
		want   map[string]any
		err    string
	}{
		"entry, old name of the bucket": {
			key: "localMinIO",
			want: map[string]any{"type": "s3", "access_key_id": "A", "secret_access_key": "S",
				"endpoint_url": "http://minio:9000", "bucket": "models", "region": "us-south"},
		},
		"old name of the key id; the bucket's present name wins": {
			key:  "seeds",
			want: map[string]any{"type": "s3", "access_key_id": "A", "secret_access_key": "S", "bucket": "b"},
		},
		"parameters override, by an old name too": {
			key: "seeds", params: map[string]string{"default_bucket": "mine"},
			want: map[string]any{"type": "s3", "access_key_id": "A", "secret_access_key": "S", "bucket": "mine"},
		},
		"dotted path into an object, values of other types stay": {
			key: "web", params: map[string]string{"headers.X": "2", "headers.new.deep": "3"},
			want: map[string]any{"type": "http", "url": "https://h", "retries": 3.0, "headers": map[string]any{
				"Accept": []any{"a", "b"}, "X": "2", "new": map[string]any{"deep": "3"}}},
		},
		"no key, no type: default": {want: map[string]any{"type": "s3", "bucket": "fallback"}},
		"no key, type: default of the type": {
			params: map[string]string{"type": "gc"}, want: map[string]any{"type": "gc", "bucket": "g"},
		},
		"no default of the type: parameters alone": {
			params: map[string]string{"type": "pvc", "name": "claim"}, want: map[string]any{"type": "pvc", "name": "claim"},
		},
		"empty type in the parameters is none": {
			key: "localMinIO", params: map[string]string{"type": "", "bucket": "x", "region": ""},
			want: map[string]any{"type": "s3", "access_key_id": "A", "secret_access_key": "S",
				"endpoint_url": "http://minio:9000", "bucket": "x", "region": ""},
		},
		"type completes an entry": {
			key: "untyped", params: map[string]string{"type": "s3"}, want: map[string]any{"type": "s3", "bucket": "b"},
		},
		"missing key":                 {key: "nope", err: "Did not find storage config for key nope: Storage secretKey not found: nope"},
		"no type anywhere":            {key: "untyped", err: "Predictor Storage field missing"},
		"object is not overwritten":   {key: "web", params: map[string]string{"headers": "x"}, err: "expected a string at 'headers'"},
		"number is not overwritten":   {key: "web", params: map[string]string{"retries": "x"}, err: "expected a string at 'retries'"},
		"string is not walked into":   {key: "web", params: map[string]string{"url.x": "x"}, err: "expected an object at 'url'"},
		"list is not walked into":     {key: "web", params: map[string]string{"headers.Accept.x": "y"}, err: "expected an object at 'headers.Accept'"},
		"entry is not JSON":           {key: "broken", err: `entry "broken" of the storage-config Secret is not a JSON object`},
		"entry is a list":             {key: "list", err: `entry "list" of the storage-config Secret is not a JSON object`},
		"entry is null":               {key: "null", err: `entry "null" of the storage-config Secret is not a JSON object`},
		"type is not a string, so no": {key: "web", params: map[string]string{"type.x": "y"}, err: "expected an object at 'type'"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			loc, err := resolve(secret, &syncv1.StorageReference{SecretKey: test.key, Parameters: test.params})
			if test.err != "" {
				wantError(t, err, Misconfigured, test.err)
				if strings.Contains(err.Error(), "HUSHHUSH") {
					t.Errorf("error %q repeats the Secret", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(loc.params, test.want) {
				t.Errorf("settings %v, want %v", loc.params, test.want)
			}
			if loc.typ != test.want["type"] {
				t.Errorf("type %q, want %q", loc.typ, test.want["type"])
			}
		})
	}
}

// TestResolveWithoutSecret: without any Secret the parameters stand alone, and the message says what to set.
func TestResolveWithoutSecret(t *testing.T) {
	_, err := resolve(nil, &syncv1.StorageReference{Path: "p"})
	wantError(t, err, Misconfigured, "Predictor Storage field missing", "set storage.key or storage.parameters.type")
	loc, err := resolve(nil, &syncv1.StorageReference{Parameters: map[string]string{"type": "s3", "bucket": "b"}})
	if err != nil || loc.typ != "s3" || loc.describe() != "storage.parameters" {
		t.Errorf("resolved %+v, %v", loc, err)
	}
}

func TestS3Settings(t *testing.T) {
	tests := map[string]struct {
		entry    string
		params   map[string]string
		endpoint string
		err      string
	}{
		"plain":                  {entry: `{"type":"s3","endpoint_url":"http://minio:9000"}`, endpoint: "http://minio:9000"},
		"no scheme is https":     {entry: `{"type":"s3","endpoint_url":"s3.example.com/"}`, endpoint: "https://s3.example.com"},
		"none is AWS":            {entry: `{"type":"s3"}`, endpoint: ""},
		"other scheme":           {entry: `{"type":"s3","endpoint_url":"file:///etc"}`, err: "not an http or https URL"},
		"credentials in the URL": {entry: `{"type":"s3","endpoint_url":"http://u:HUSH@h"}`, err: "must be scheme, host and port alone"},
		"half a key":             {entry: `{"type":"s3","secret_access_key":"HUSH"}`, err: "only one of"},
		"number for a string":    {entry: `{"type":"s3","region":1}`, err: `setting "region" of entry "k"`},
		"bad certificate":        {entry: `{"type":"s3","bucket":"b","certificate":"HUSH"}`, err: "no PEM certificate"},
		"no bucket":              {entry: `{"type":"s3"}`, err: `storage of type s3 needs "bucket"`},
		"bucket with a path":     {entry: `{"type":"s3","bucket":"a/b"}`, err: "give the bucket's name alone"},
		"bucket is traversal":    {entry: `{"type":"s3","bucket":".."}`, err: "no bucket can be called"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			loc, err := resolve(map[string][]byte{"k": []byte(test.entry)},
				&syncv1.StorageReference{SecretKey: "k", Parameters: test.params})
			if err != nil {
				t.Fatal(err)
			}
			if test.err == "" {
				settings, err := readS3Settings(loc)
				if err != nil || settings.endpoint != test.endpoint {
					t.Errorf("endpoint %q, %v, want %q", settings.endpoint, err, test.endpoint)
				}
				return
			}
			s, _ := newStore(t, Config{})
			_, err = s.openS3(t.Context(), loc)
			wantError(t, err, Misconfigured, test.err)
			if strings.Contains(err.Error(), "HUSH") {
				t.Errorf("error %q repeats a credential", err)
			}
		})
	}
}

// TestClientsAreKeptUntilTheSecretChanges: pulls share connections, and no client outlives the keys that made it.
func TestClientsAreKeptUntilTheSecretChanges(t *testing.T) {
	s, _ := newStore(t, Config{})
	secret := func(key string) map[string][]byte {
		return map[string][]byte{"default": fmt.Appendf(nil,
			`{"type":"s3","bucket":"b","endpoint_url":"http://h","access_key_id":"A","secret_access_key":%q}`, key)}
	}
	open := func() *s3Client {
		loc, err := resolve(s.entries, &syncv1.StorageReference{})
		if err != nil {
			t.Fatal(err)
		}
		settings, err := readS3Settings(loc)
		if err != nil {
			t.Fatal(err)
		}
		client, err := s.s3Client(t.Context(), settings)
		if err != nil {
			t.Fatal(err)
		}
		return client
	}
	s.SetCredentials(secret("one"))
	first := open()
	s.SetCredentials(secret("one"))
	if open() != first {
		t.Error("the same Secret again made another client")
	}
	s.SetCredentials(secret("two"))
	if n := s.s3Clients.Len(); n != 0 {
		t.Errorf("%d clients of the old Secret are kept", n)
	}
	if open() == first {
		t.Error("the new Secret got the old client")
	}
}

// TestForeignEndpointIsMarked: the host's own identity is shown only to endpoints that the operator's Secret names.
func TestForeignEndpointIsMarked(t *testing.T) {
	secret := map[string][]byte{"k": []byte(`{"type":"s3","endpoint_url":"http://operator"}`)}
	for _, foreign := range []bool{false, true} {
		ref := &syncv1.StorageReference{SecretKey: "k"}
		if foreign {
			ref.Parameters = map[string]string{"endpoint_url": "http://elsewhere"}
		}
		loc, err := resolve(secret, ref)
		if err != nil {
			t.Fatal(err)
		}
		if settings, err := readS3Settings(loc); err != nil || settings.foreign != foreign {
			t.Errorf("foreign is %v, %v, want %v", settings.foreign, err, foreign)
		}
	}
}
