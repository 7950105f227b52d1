/** What can go wrong; `message` is a sentence for people, `id` for programs, `status` Nightbell's HTTP status if it spoke. */
export class PhoneError extends Error {
  constructor(id, message, status = 0) {
    super(message);
    this.name = "PhoneError";
    this.id = id;
    this.status = status;
  }
}
