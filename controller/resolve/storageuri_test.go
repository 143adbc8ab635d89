package resolve

import (
	"maps"
	"net/url"
	"strings"
	"testing"
)

func TestParseStorageURI(t *testing.T) {
	params := func(kv ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return m
	}
	tests := []struct {
		uri, path  string
		parameters map[string]string
	}{
		{"pvc://claim/dir/model.joblib", "dir/model.joblib", params("type", "pvc", "name", "claim")},
		{"s3://bucket/dir/model.joblib", "dir/model.joblib", params("type", "s3", "bucket", "bucket")},
		{"s3://bucket/dir/", "dir/", params("type", "s3", "bucket", "bucket")},
		{"s3://bucket", "", params("type", "s3", "bucket", "bucket")},
		{"s3://bucket//odd", "/odd", params("type", "s3", "bucket", "bucket")},
		{"s3://Bucket.v1/a%20b%23c%3Fd", "a b#c?d", params("type", "s3", "bucket", "Bucket.v1")},
		{"gs://bucket/dir", "dir", params("type", "gcs", "bucket", "bucket")},
		{"https://acc.blob.core.windows.net/cont/dir/m", "dir/m", params("type", "azure", "account_name", "acc", "container", "cont")},
		{"http://acc.blob.core.windows.net/cont", "", params("type", "azure", "account_name", "acc", "container", "cont")},
		{"https://host/dir/m.onnx", "dir/m.onnx", params("type", "http", "url", "https://host")},
		{"http://host:81/dir/m.onnx?a=b&c=d", "dir/m.onnx", params("type", "http", "url", "http://host:81?a=b&c=d")},
		{"https://host?f=m.onnx", "", params("type", "http", "url", "https://host?f=m.onnx")},
		{"https://evilblob.core.windows.net/c/p", "c/p", params("type", "http", "url", "https://evilblob.core.windows.net")},
	}
	for _, tt := range tests {
		got, err := parseStorageURI(tt.uri)
		if err != nil || got.path != tt.path || !maps.Equal(got.parameters, tt.parameters) {
			t.Errorf("parseStorageURI(%q) = %+v, %v; want %q %v", tt.uri, got, err, tt.path, tt.parameters)
		}
	}
}

func TestParseStorageURIRefuses(t *testing.T) {
	for uri, want := range map[string]string{
		"":                                   "has an unsupported storageUri scheme",
		"bucket/path":                        "has an unsupported storageUri scheme",
		"file:///tmp/m":                      "has an unsupported storageUri scheme file: use s3 or pvc",
		"hdfs://h/p":                         "has an unsupported storageUri scheme hdfs",
		"s3://%zz/p":                         "has a storageUri that cannot be parsed: ",
		"s3:///p":                            "has a storageUri without a name after s3://",
		"s3:bucket/p":                        "has a storageUri without a name after s3://",
		"pvc:///p":                           "has a storageUri without a name after pvc://",
		"https:///p":                         "has a storageUri without a host after https://",
		"s3://b/p?versionId=1":               "has a query or fragment in its storageUri, which s3 does not have",
		"gs://b/p#1":                         "has a query or fragment in its storageUri, which gs does not have",
		"https://h/p#1":                      "has a fragment in its storageUri",
		"https://user:secret@h/p":            "has a user in its storageUri: put credentials into",
		"s3://key:secret@b/p":                "has a user in its storageUri: put credentials into",
		"https://a.blob.core.windows.net":    "has a storageUri without account or container",
		"https://.blob.core.windows.net/c/p": "has a storageUri without account or container",
		"https://a.blob.core.windows.net/c/p?sig=xy": "has a query or fragment in its storageUri: put Azure credentials into",
	} {
		_, err := parseStorageURI(uri)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("parseStorageURI(%q): error %v, want prefix %q", uri, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret@") {
			t.Errorf("parseStorageURI(%q) repeats the password: %v", uri, err)
		}
	}
}

// Against a twin that knows nothing but how to cut strings, on the URIs that need no decoding; and for all others: an
// answer names a type and a place, and carries no credential.
func FuzzParseStorageURI(f *testing.F) {
	for _, uri := range []string{
		"s3://b/p", "gs://b/p/q", "pvc://n/p", "https://a.blob.core.windows.net/c/p", "http://h/p?q=1", "https://u:p@h/x",
		"s3://b", "s3://b/%41", "s3://[::1]/p", "//", "s3://b:80/p",
	} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		got, err := parseStorageURI(uri)
		if err != nil {
			return
		}
		p := got.parameters
		if p["type"] == "" || p["bucket"]+p["name"]+p["url"]+p["container"] == "" {
			t.Errorf("%q gives %+v", uri, got)
		}
		if u, err := url.Parse(p["url"]); err != nil || u.User != nil {
			t.Errorf("%q gives the url %q: %v", uri, p["url"], err)
		}
		scheme, rest, _ := strings.Cut(uri, "://")
		if strings.ContainsAny(uri, "%?#@[]\\") || (scheme != "s3" && scheme != "gs" && scheme != "pvc") {
			return
		}
		host, path, _ := strings.Cut(rest, "/")
		if got.path != path || p["bucket"]+p["name"] != host {
			t.Errorf("%q gives %+v, want %q in %q", uri, got, path, host)
		}
	})
}
