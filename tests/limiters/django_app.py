"""django-ratelimit: one request a second. What is too much gets Django's 403, and nothing says when to come again."""

import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="not one",
    # Counts in this process, which is enough: there is no other.
    SILENCED_SYSTEM_CHECKS=["django_ratelimit.E003", "django_ratelimit.W001"],
)
application = get_wsgi_application()

from django_ratelimit.decorators import ratelimit  # noqa: E402, it reads the settings


@ratelimit(key=lambda group, request: "all", rate="1/s")
def crm(request):
    return HttpResponse("taken")


urlpatterns = [path("crm", crm)]


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass


make_server("127.0.0.1", int(sys.argv[1]), application, Server, Quiet).serve_forever()
