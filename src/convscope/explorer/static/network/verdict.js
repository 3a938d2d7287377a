// Answers of networks in words.

import { percent } from "convscope/format.js";

/** Class numbers, the likeliest first. */
export function rank(probabilities) {
  return [...probabilities.keys()].sort((one, other) => probabilities[other] - probabilities[one]);
}

/** {predicted, right, sentence}; `label` is the number of the true class, or null where nobody knows it. */
export function answerOf(probabilities, label, classes) {
  const [predicted] = rank(probabilities);
  const answer = `It says ${classes[predicted]}, ${percent(probabilities[predicted])} sure`;
  if (label === null) return { predicted, right: null, sentence: `${answer}.` };
  if (label === predicted) return { predicted, right: true, sentence: `${answer}: right.` };
  const sentence = `${answer}: wrong, it is ${classes[label]} (${percent(probabilities[label])}).`;
  return { predicted, right: false, sentence };
}

/** One sentence on two answers, each {run, probabilities}. */
export function difference(one, other, label, classes) {
  const [first, second] = [one, other].map(({ probabilities }) => rank(probabilities)[0]);
  const sure = ({ run, probabilities }, predicted) => `${run} is ${percent(probabilities[predicted])} sure`;
  if (first === second) {
    const wrong = `, which is wrong: it is ${classes[label]}`;
    const verdict = label === null ? "" : label === first ? ", which is right" : wrong;
    return `Both say ${classes[first]}${verdict}; ${sure(one, first)}, ${sure(other, second)}.`;
  }
  const verdict = (predicted) => (label === null ? "" : label === predicted ? " and is right" : " and is wrong");
  const says = ({ run, probabilities }, predicted) =>
    `${run} says ${classes[predicted]} (${percent(probabilities[predicted])})${verdict(predicted)}`;
  const truth = label === null || label === first || label === second ? "" : ` It is ${classes[label]}.`;
  return `They differ: ${says(one, first)}, ${says(other, second)}.${truth}`;
}
