package storage

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"
)

// openS3 opens an entry of type s3 with the settings that ModelMesh documents: access_key_id, secret_access_key,
// endpoint_url, region, bucket, certificate; and session_token. Unlike there, all but bucket may be absent.
func (s *Store) openS3(ctx context.Context, loc location) (*place, error) {
	settings, err := readS3Settings(loc)
	if err != nil {
		return nil, err
	}
	bucket, err := loc.required("bucket")
	if err != nil {
		return nil, err
	}
	if why := badName(bucket); why != "" || strings.Contains(bucket, "/") {
		return nil, errorf(Misconfigured, "\"bucket\" in %s is %q, which no bucket can be called; "+
			"give the bucket's name alone", loc.describe(), bucket)
	}
	client, err := s.s3Client(ctx, settings)
	if err != nil {
		return nil, err
	}
	p := &place{
		identity: strings.Join([]string{"s3", settings.endpoint, bucket}, "\x00"),
		url:      "s3://" + bucket,
		at:       " at " + settings.where(),
		advice: "check the path, the bucket, \"endpoint_url\", \"region\" and the credentials, which come from " +
			loc.describe(),
		dialect: s3Dialect{},
		open: func() (*blob.Bucket, error) {
			return s3blob.OpenBucket(context.Background(), client.api, bucket, nil) // makes no request
		},
	}
	if !settings.static() {
		p.denied = func() { s.s3Clients.Remove(settings) }
	}
	return p, nil
}

// s3Settings is everything that a client is made of, and so the key that clients are cached under.
type s3Settings struct {
	endpoint, region, certificate        string
	accessKeyID, secretKey, sessionToken string
	// foreign: the endpoint was given by the model's owner and not by the operator's Secret. The host's own
	// identity is not shown to it.
	foreign bool
}

func readS3Settings(loc location) (s3Settings, error) {
	var (
		out s3Settings
		bad error
	)
	for name, to := range map[string]*string{
		"endpoint_url": &out.endpoint, "region": &out.region, "certificate": &out.certificate,
		"access_key_id": &out.accessKeyID, "secret_access_key": &out.secretKey, "session_token": &out.sessionToken,
	} {
		v, err := loc.text(name)
		if err != nil {
			bad = err
		}
		*to = v
	}
	if bad != nil {
		return out, bad
	}
	if (out.accessKeyID == "") != (out.secretKey == "") {
		return out, errorf(Misconfigured, "%s has only one of \"access_key_id\" and \"secret_access_key\"; "+
			"set both, or neither to use the host's own identity or anonymous access", loc.describe())
	}
	out.foreign = loc.overridden["endpoint_url"]
	var err error
	out.endpoint, err = cleanEndpoint(out.endpoint, loc)
	return out, err
}

// cleanEndpoint answers scheme://host[:port][/path]. Without a scheme it is https, as ModelMesh's client had it.
func cleanEndpoint(endpoint string, loc location) (string, error) {
	if endpoint == "" {
		return "", nil
	}
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", errorf(Misconfigured, "\"endpoint_url\" in %s is not an http or https URL", loc.describe())
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errorf(Misconfigured, "\"endpoint_url\" in %s must be scheme, host and port alone; "+
			"credentials belong into \"access_key_id\" and \"secret_access_key\"", loc.describe())
	}
	return strings.TrimRight(u.String(), "/"), nil
}

func (c s3Settings) static() bool { return c.accessKeyID != "" }

func (c s3Settings) where() string {
	if c.endpoint != "" {
		return c.endpoint
	}
	return "AWS"
}

// s3Dialect pins reads to the ETag of the listing.
type s3Dialect struct{}

// describe takes the key as the server spells it: s3blob decodes "__0x2f__" in names and would not find them again.
func (s3Dialect) describe(listed *blob.ListObject) (key, version string) {
	var raw types.Object
	if !listed.As(&raw) {
		return listed.Key, ""
	}
	version = aws.ToString(raw.ETag)
	if strings.Trim(version, "\"") == "" { // some servers have none for a file that was not put through them
		version = "modified " + listed.ModTime.UTC().Format(time.RFC3339Nano)
	}
	return aws.ToString(raw.Key), version
}

func (s3Dialect) pin(obj object) *blob.ReaderOptions {
	return &blob.ReaderOptions{BeforeRead: func(as func(any) bool) error {
		var in *s3.GetObjectInput
		if !as(&in) {
			return errors.New("s3blob gives no GetObjectInput")
		}
		in.Key = aws.String(obj.key)
		if hasETag(obj) {
			in.IfMatch = aws.String(obj.version)
		}
		var opts *[]func(*s3.Options)
		if as(&opts) { // the download tries again itself
			*opts = append(*opts, func(o *s3.Options) { o.Retryer = aws.NopRetryer{} })
		}
		return nil
	}}
}

// same looks at the answer too: some servers ignore If-Match on reads. Without an ETag the time of change has to do, of
// which a read tells whole seconds only.
func (s3Dialect) same(r *blob.Reader, obj object) bool {
	var out s3.GetObjectOutput
	if !r.As(&out) || r.Size() != obj.size {
		return false
	}
	if hasETag(obj) {
		return aws.ToString(out.ETag) == obj.version
	}
	return r.ModTime().Unix() == obj.modTime.Unix()
}

// hasETag: the listing gave one; it is quoted.
func hasETag(obj object) bool { return strings.HasPrefix(obj.version, "\"") }

func (s3Dialect) changed(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return changedCode(err) || ok && api.ErrorCode() == "InvalidRange"
}
