"""A real RTSP server for the tests, run by the system's Python: gst-rtsp-server serving a test picture.

Usage: gst_rtsp_server.py [--port N] [--user USER --password PASSWORD --scheme basic|digest]
Prints the port on a line of its own when it is ready.
"""

import argparse
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

PICTURE = "videotestsrc is-live=true pattern=smpte ! video/x-raw,width=320,height=240,framerate=30/1"
ENCODERS = {
    "openh264enc": "openh264enc gop-size=10 complexity=low",
    "x264enc": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10",
}


def launch() -> str:
    encoder = next((text for name, text in ENCODERS.items() if Gst.ElementFactory.find(name)), None)
    if encoder is None:
        sys.exit("no H.264 encoder")
    return f"( {PICTURE} ! videoconvert ! {encoder} ! h264parse ! rtph264pay name=pay0 pt=96 )"


def protect(
    server: GstRtspServer.RTSPServer, factory: GstRtspServer.RTSPMediaFactory, given: argparse.Namespace
) -> None:
    auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    if given.scheme == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(given.user, given.password, token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(given.user, given.password), token)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("user", "media.factory.access", True)
    permissions.add_permission_for_role("user", "media.factory.construct", True)
    factory.set_permissions(permissions)
    server.set_auth(auth)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", default="0")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--scheme", default="basic")
    given = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=given.port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(launch())
    factory.set_shared(True)
    if given.user:
        protect(server, factory, given)
    server.get_mount_points().add_factory("/door", factory)
    if server.attach(None) == 0:
        sys.exit(f"port {given.port} is taken")
    sys.stdout.write(f"{server.get_bound_port()}\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
