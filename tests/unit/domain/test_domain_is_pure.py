import subprocess
import sys


def test_importing_the_domain_loads_neither_vision_nor_web_nor_asyncio():
    code = (
        "import sys, pkgutil, importlib, gateway.domain as d\n"
        "[importlib.import_module(f'gateway.domain.{m.name}') for m in pkgutil.iter_modules(d.__path__)]\n"
        "heavy = {'cv2', 'aiohttp', 'asyncpg', 'onnxruntime', 'pymodbus', 'structlog'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
