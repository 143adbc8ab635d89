package storage

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	// maxS3Clients bounds clients, each of which keeps idle connections. A namespace has few Secret entries.
	maxS3Clients = 64
	// defaultRegion is what S3 servers outside AWS accept and AWS itself starts from.
	defaultRegion = "us-east-1"
	// dialTimeout and headerTimeout turn an endpoint that swallows packets into an error soon enough to be retried
	// within one load.
	dialTimeout   = 10 * time.Second
	headerTimeout = 30 * time.Second
	// requestAttempts is how often the SDK itself tries a listing. Reads are tried again by the download.
	requestAttempts = 3
	// identityTimeout bounds the search for the host's own credentials, whose last resort is a metadata service that
	// outside a cloud does not answer.
	identityTimeout = 5 * time.Second
)

// s3Client is the part of an open place that is worth keeping: connections and resolved credentials.
type s3Client struct {
	api       *s3.Client
	transport *http.Transport
}

// s3Client answers the cached client of these settings, or makes it.
func (s *Store) s3Client(ctx context.Context, settings s3Settings) (*s3Client, error) {
	if c, ok := s.s3Clients.Get(settings); ok {
		return c, nil
	}
	transport, err := s.s3Transport(settings)
	if err != nil {
		return nil, err
	}
	opts := s3.Options{
		Region:       settings.region,
		UsePathStyle: true,
		HTTPClient: &http.Client{
			Transport: transport,
			// A redirect could lead anywhere, and no signature survives it.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = requestAttempts
			o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(hopeless)}, o.Retryables...)
		}),
		// Ranges carry no checksum of the whole, and servers other than AWS trip over the request for one.
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
	}
	if settings.endpoint != "" {
		opts.BaseEndpoint = aws.String(settings.endpoint)
	}
	identify(ctx, settings, &opts)
	if opts.Region == "" {
		opts.Region = defaultRegion
	}
	c := &s3Client{api: s3.New(opts), transport: transport}
	s.s3Clients.Add(settings, c)
	return c, nil
}

// hopeless keeps the SDK from trying again what only other settings can mend; it takes every lost connection, a refused
// certificate too, for worth another try.
func hopeless(err error) aws.Ternary {
	if kind, _ := (s3Dialect{}).explain(err); kind == Misconfigured {
		return aws.FalseTernary
	}
	return aws.UnknownTernary
}

// identify chooses the credentials: those given; else, unless the endpoint is not the operator's, what the SDK's
// default chain finds (environment, web identity, shared files, and for AWS itself the metadata service); else none.
func identify(ctx context.Context, settings s3Settings, opts *s3.Options) {
	if settings.static() {
		opts.Credentials = credentials.NewStaticCredentialsProvider(
			settings.accessKeyID, settings.secretKey, settings.sessionToken)
		return
	}
	opts.Credentials = aws.AnonymousCredentials{}
	if settings.foreign {
		return
	}
	metadata := imds.ClientDefaultEnableState
	if settings.endpoint != "" {
		metadata = imds.ClientDisabled
	}
	ctx, cancel := context.WithTimeout(ctx, identityTimeout)
	defer cancel()
	chain, err := config.LoadDefaultConfig(ctx, config.WithEC2IMDSClientEnableState(metadata))
	if err != nil || chain.Credentials == nil {
		return
	}
	if _, err := chain.Credentials.Retrieve(ctx); err != nil {
		return
	}
	opts.Credentials = chain.Credentials
	if opts.Region == "" {
		opts.Region = chain.Region
	}
}

func (s *Store) s3Transport(settings s3Settings) (*http.Transport, error) {
	var roots *x509.CertPool
	if settings.certificate != "" {
		var err error
		if roots, err = x509.SystemCertPool(); err != nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM([]byte(settings.certificate)) {
			return nil, errorf(Misconfigured, "\"certificate\" of the s3 storage at %s holds no PEM certificate; "+
				"give the CA's certificate as PEM, with \\n for line ends", settings.where())
		}
	}
	return awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout }).
		WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConnsPerHost = s.cfg.PullConcurrency
			t.ResponseHeaderTimeout = headerTimeout
			if roots != nil {
				t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
			}
		}).GetTransport(), nil
}
