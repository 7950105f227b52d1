"""Apple's, Google's and the browsers' push protocols on loopback, to try things without their keys."""

from demo.sandbox.devices import Deliveries
from demo.sandbox.errors import SandboxError
from demo.sandbox.orders import Order
from demo.sandbox.provider_sandbox import ProviderSandbox
from demo.sandbox.pushes import Push

__all__ = ["Deliveries", "Order", "ProviderSandbox", "Push", "SandboxError"]
