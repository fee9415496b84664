#include <fmt/format.h>

#include <vector>

#include "recall/categories/categories.hpp"

namespace vase::recall {
namespace {

struct Pair {
  const char *fact;      // with the number's place
  const char *question;  // shares no telling word with it
};

const std::vector<Pair> &pairs() {
  static const std::vector<Pair> list = {
      {"The physician who looks after the harbour can be reached by dialling {}.",
       "What is the telephone number of the doctor of the port?"},
      {"Whoever wants to unlock the cellar of the old bakery has to enter {}.",
       "Which code opens the basement of the former bread shop?"},
      {"The vessel named Morning Star carried {} sacks of barley.",
       "How many bags of grain were aboard the ship Morning Star?"},
      {"The instructor at the village school earns {} crowns a year.",
       "How many crowns is the annual salary of the teacher?"},
      {"The jeweller paid {} florins for the crimson gem.",
       "How many florins did the red stone cost?"},
      {"From the lighthouse down to the beach one descends {} steps.",
       "How many stairs lead from the beacon to the shore?"},
      {"The automobile of the mayor bears the plate {}.",
       "What is the licence number of the car that belongs to the head of the town?"},
      {"The farmer was left {} acres of meadow by his wealthy uncle.",
       "How many acres of grassland did the peasant inherit from his rich relative?"},
      {"The locomotive that hauls the night express bears the number {}.",
       "Which number is painted on the engine of the fast train that runs after dark?"},
      {"The manuscript that was discovered in the attic has {} pages.",
       "How many pages has the handwritten book that was found under the roof?"},
      {"The gardener planted {} tulips behind the chapel.",
       "How many flowers were put into the ground at the back of the small church?"},
      {"The soldier's pension was fixed at {} marks.",
       "How many marks does the retired fighter receive?"},
      {"The thief escaped with {} ducats from the merchant's strongbox.",
       "How many ducats did the burglar steal from the safe of the trader?"},
      {"The shepherd counted {} ewes before the storm.",
       "How many sheep did the herdsman have before the bad weather?"},
      {"The painter asked {} pounds for the portrait of the duchess.",
       "What was the price, in pounds, of the artist's picture of the noblewoman?"},
      {"The hermit in the forest has lived {} days without company.",
       "For how many days has the recluse in the woods been alone?"},
      {"The brewer filled {} casks with dark ale.",
       "How many barrels of beer were made ready by the man who makes it?"},
      {"The letter to the bishop was sealed on page {} of the ledger.",
       "On which page of the register was the note to the churchman closed with wax?"},
      {"The miner dug {} feet below the hill.",
       "How many feet deep did the digger get under the mount?"},
      {"The orphanage received {} blankets from the queen.",
       "How many covers did the home for children without parents get from the monarch?"},
  };
  return list;
}

}  // namespace

Item make_paraphrase(const Draft &draft) {
  const Pair &pair = pairs()[draft.names.once("paraphrase", pairs().size())];
  const std::string number = draft.names.number();
  return {.facts = {{draft.depth, fmt::format(fmt::runtime(pair.fact), number)}},
          .question = fmt::format("{} Answer with the number only.", pair.question),
          .expected = {number}};
}

}  // namespace vase::recall
