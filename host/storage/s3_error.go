package storage

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

// s3Codes are the error codes of S3 whose HTTP status alone would mislead
// (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html).
var s3Codes = map[string]Kind{
	"ExpiredToken":          Denied,      // 400
	"InvalidToken":          Denied,      // 400
	"TokenRefreshRequired":  Denied,      // 400
	"RequestTimeout":        Unavailable, // 400
	"InvalidAccessKeyId":    Denied,
	"SignatureDoesNotMatch": Denied,
	"NoSuchBucket":          NotFound,
	"SlowDown":              Unavailable,
	"XAdminUserNotFound":    Denied, // versitygw, with 404, for an unknown access key
}

// explain goes by S3's own error code, then the HTTP status, then what went wrong with the connection. Signatures
// travel in a header, so neither URL nor message holds a credential.
func (s3Dialect) explain(err error) (Kind, string) {
	reason := ""
	api, isAPI := errors.AsType[smithy.APIError](err)
	if isAPI {
		reason = strings.TrimSuffix(strings.TrimSpace(api.ErrorCode()+": "+api.ErrorMessage()), ":")
		if kind, ok := s3Codes[api.ErrorCode()]; ok {
			return kind, reason
		}
	}
	if resp, ok := errors.AsType[*awshttp.ResponseError](err); ok && resp.HTTPStatusCode() >= 300 {
		status := resp.HTTPStatusCode()
		if reason == "" {
			reason = "HTTP " + http.StatusText(status)
		}
		return kindOfStatus(status), reason
	}
	if isAPI {
		return Unavailable, reason
	}
	return kindOfConnection(err)
}

func kindOfStatus(status int) Kind {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return Denied
	case status == http.StatusNotFound:
		return NotFound
	case status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500:
		return Unavailable
	}
	return Misconfigured // a redirect to another region, a malformed request
}

// kindOfConnection sorts failures without an HTTP answer: those that only other settings can mend, and the rest.
func kindOfConnection(err error) (Kind, string) {
	reason := reasonOf(err)
	if u, ok := errors.AsType[*url.Error](err); ok {
		reason = u.Err.Error()
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return Misconfigured, reason + "; if the server has a private CA, put it into \"certificate\""
	}
	if strings.Contains(reason, "server gave HTTP response to HTTPS client") {
		return Misconfigured, reason + "; use http:// in \"endpoint_url\""
	}
	if _, ok := errors.AsType[*smithy.DeserializationError](err); ok {
		return Misconfigured, "the endpoint does not answer as an S3 server does"
	}
	return Unavailable, reason
}
